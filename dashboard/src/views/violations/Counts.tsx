// How many opened each day, and where most: each bar and each name narrows what the list shows.

import { useEffect, useState } from "react";

import { api } from "../../api/client.ts";
import { DayBars } from "../../charts/DayBars.tsx";
import { Panel } from "../../components/Panel.tsx";
import { isoDay, zone } from "../../format/times.ts";
import { now, on } from "../../live/live.ts";
import { useResource } from "../../state/resource.ts";
import { coalesced } from "../../state/store.ts";
import { t } from "../../text/index.ts";
import { question, withValue, type Filters } from "./filters.ts";
import { addDays, asked, covers, DAYS_MAX, daysOf, daysShown, type Period } from "./period.ts";

/** Bars follow what opens, and cost the backend something. */
const FOLLOW_MS = 5_000;
/** Machines and metrics that are named. */
const NAMED = 5;

interface Props {
  period: Period;
  filters: Filters;
  onDays: (from: string, to: string) => void;
  onFilters: (filters: Filters) => void;
}

export function Counts({ period, filters, onDays, onFilters }: Props) {
  const today = isoDay(now());
  const days = daysOf(period, now(), isoDay);
  const [shown, setShown] = useState(() => daysShown(days, today));
  if (!covers(shown, period, days, today)) setShown(daysShown(days, today));
  const tz = zone();
  // of what is silenced now nothing can be counted
  const counted = { ...filters, state: filters.state === "silenced" ? ("open" as const) : filters.state };
  const words = question(counted);
  const bars = useResource(`counts ${JSON.stringify([shown, words, tz])}`, async (signal) => (await api.violationCounts("day", { from: shown.from, to: addDays(shown.to, 1), tz, ...words }, signal)).items);
  const most = useResource(`most ${JSON.stringify([period, words, tz])}`, async (signal) => {
    // a stretch of 400 days that ends now would be longer than that by the time it is read
    const cut: Period = period.type === "quick" ? { type: "days", from: [days.from, addDays(days.to, 1 - DAYS_MAX)].sort()[1] ?? days.from, to: days.to } : period;
    const stretch = { ...asked(cut, now(), tz), ...words };
    const [machines, metrics] = await Promise.all([api.violationCounts("machine", stretch, signal), api.violationCounts("metric", stretch, signal)]);
    return { machines: machines.items.slice(0, NAMED), metrics: metrics.items.slice(0, NAMED) };
  });

  const again = bars.reload;
  const mostAgain = most.reload;
  const isGoingOn = days.to >= today;
  useEffect(() => {
    if (!isGoingOn) return;
    const follow = coalesced(() => {
      again();
      mostAgain();
    }, FOLLOW_MS);
    return on("violation.opened", follow);
  }, [isGoingOn, again, mostAgain]);

  return (
    <Panel title={t("counts.title")} resource={bars} className="counts" aside={filters.state === "silenced" && <span className="muted">{t("counts.notSilenced")}</span>}>
      <div className="with-most">
        <DayBars items={bars.data ?? []} chosen={days} label={t("counts.title")} onChoose={onDays} />
        <Most
          title={t("counts.machines")}
          items={(most.data?.machines ?? []).map((machine) => ({
            id: machine.machine_id,
            name: machine.machine_name,
            note: machine.kind === "container" ? machine.host_name : "",
            count: machine.count,
            choose: () => onFilters(withValue(filters, "machine_id", machine.machine_id)),
          }))}
        />
        <Most title={t("counts.metrics")} items={(most.data?.metrics ?? []).map(({ metric, count }) => ({ id: metric, name: metric, note: "", count, choose: () => onFilters(withValue(filters, "metric", metric)) }))} />
      </div>
    </Panel>
  );
}

interface MostProps {
  title: string;
  items: readonly { id: string; name: string; note: string; count: number; choose: () => void }[];
}

function Most({ title, items }: MostProps) {
  const top = Math.max(1, ...items.map(({ count }) => count));
  if (items.length === 0) return null;
  return (
    <div className="most">
      <h3>{title}</h3>
      <ol>
        {items.map(({ id, name, note, count, choose }) => (
          <li key={id}>
            <button onClick={choose} title={`${name} ${note}`}>
              <span>
                {name} {note && <small>{note}</small>}
              </span>
              <b>{count.toLocaleString("en")}</b>
              <i style={{ width: `${(count / top) * 100}%` }} aria-hidden="true" />
            </button>
          </li>
        ))}
      </ol>
    </div>
  );
}
