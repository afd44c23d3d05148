// Chooses the stretch of time of the history: one that ends now, or days.

import { isoDay, minute } from "../../format/times.ts";
import { now } from "../../live/live.ts";
import { useQuery } from "../../router.ts";
import { t, type Key } from "../../text/index.ts";
import { RANGES, type RangeName } from "../range.ts";
import { daysOf, type Period } from "./period.ts";

export function PeriodLine({ period }: { period: Period }) {
  const [, change] = useQuery();
  const { from, to } = daysOf(period, now(), isoDay);
  const choose = (from: string, to: string) => change({ from, to, range: null }, "replace");
  return (
    <div className="range" role="group" aria-label={t("range.label")}>
      <div className="quick">
        {(Object.keys(RANGES) as RangeName[]).map((name) => (
          <button key={name} aria-pressed={period.type === "quick" && period.name === name} onClick={() => change({ range: name, from: null, to: null, match: null })}>
            {t(`range.${name}` as Key)}
          </button>
        ))}
      </div>
      <div className="dates">
        <label>
          {t("violations.from")} <input type="date" value={from} max={to} onChange={(event) => event.target.value && choose(event.target.value, event.target.value > to ? event.target.value : to)} />
        </label>
        <label>
          {t("violations.to")} <input type="date" value={to} min={from} onChange={(event) => event.target.value && choose(event.target.value < from ? event.target.value : from, event.target.value)} />
        </label>
        {period.type === "moments" && <span className="stretch">{t("range.zoomed", { from: minute(period.from), to: minute(period.to) })}</span>}
      </div>
    </div>
  );
}
