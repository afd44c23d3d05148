// Which stretch of time is shown, and what it is compared with; both are in the URL.

import { minute } from "../format/times.ts";
import { now } from "../live/live.ts";
import { useQuery } from "../router.ts";
import { t, type Key } from "../text/index.ts";
import { COMPARE, compareOf, LIVE, moved, rangeOf, RANGES, type CompareName, type RangeName } from "../views/range.ts";

export function RangePicker() {
  const [query, change] = useQuery();
  const range = rangeOf(query);
  const choose = (name: RangeName) => change({ range: name, ...LIVE });
  return (
    <div className="range" role="group" aria-label={t("range.label")}>
      <button onClick={() => change(moved(range, now(), -1))} aria-label={t("range.earlier")} title={t("range.earlier")}>
        ‹
      </button>
      {range.type === "fixed" && (
        <>
          <span className="stretch">{t("range.zoomed", { from: minute(range.from), to: minute(range.to) })}</span>
          <button onClick={() => change(moved(range, now(), 1))} aria-label={t("range.later")} title={t("range.later")}>
            ›
          </button>
          <button className="primary" onClick={() => change(LIVE)}>
            {t("range.live")}
          </button>
        </>
      )}
      {(Object.keys(RANGES) as RangeName[]).map((name) => (
        <button key={name} aria-pressed={range.type === "live" && range.name === name} onClick={() => choose(name)}>
          {t(`range.${name}` as Key)}
        </button>
      ))}
      <label>
        {t("compare.label")}
        <select value={compareOf(query) ?? ""} onChange={(event) => change({ compare: event.target.value }, "replace")}>
          <option value="">{t("compare.none")}</option>
          {(Object.keys(COMPARE) as CompareName[]).map((name) => (
            <option key={name} value={name}>
              {t(`compare.${name}` as Key)}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}
