// What is violated now, and what was in a range of dates.

import { useMemo, useState } from "react";

import { api, type Violation } from "../api/client.ts";
import { Panel } from "../components/Panel.tsx";
import { isoDay, zone } from "../format/times.ts";
import { now } from "../live/live.ts";
import { useQuery } from "../router.ts";
import { useResource } from "../state/resource.ts";
import { useStore } from "../state/store.ts";
import { failure, open, rank, reload } from "../state/violations.ts";
import { t, type Key } from "../text/index.ts";
import { ViolationTable } from "./ViolationTable.tsx";

const SEVERITIES = ["critical", "warning", "info"];
const PAGE = 100;

export function ViolationsView() {
  const { all } = useStore(open);
  const failed = useStore(failure);
  const sorted = useMemo(() => [...all.values()].sort((one, other) => rank(other.severity) - rank(one.severity) || other.opened_at.localeCompare(one.opened_at)), [all]);
  return (
    <div className="view">
      <Panel
        title={t("violations.open")}
        aside={<span className="count">{sorted.length}</span>}
        resource={{ data: true, error: failed, loading: false, reload: () => void reload() }}
        isEmpty={sorted.length === 0}
        empty={t("violations.open.none")}
      >
        <ViolationTable violations={sorted.slice(0, 500)} />
      </Panel>
      <History />
    </div>
  );
}

/** The day behind one: a range of days has both of its ends, the API's has not. */
function dayAfter(day: string): string {
  const date = new Date(`${day}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() + 1);
  return date.toISOString().slice(0, 10);
}

function History() {
  const [query, change] = useQuery();
  const today = isoDay(now());
  const from = query.get("from") ?? today;
  const to = query.get("to") ?? today;
  const severity = query.get("severity") ?? "";
  const question = { from, to: dayAfter(to), tz: zone(), severity: severity || undefined, limit: PAGE };
  const key = JSON.stringify(question);
  const [more, setMore] = useState<{ key: string; items: Violation[]; cursor: string | null } | null>(null);
  const resource = useResource(key, (signal) => api.violations(question, signal));
  const behind = more?.key === key ? more : null;
  const items = [...(resource.data?.items ?? []), ...(behind?.items ?? [])];
  const cursor = behind ? behind.cursor : resource.data?.next_cursor;
  const readMore = async () => {
    if (!cursor) return;
    const page = await api.violations({ ...question, cursor });
    setMore({ key, items: [...(behind?.items ?? []), ...page.items], cursor: page.next_cursor ?? null });
  };
  return (
    <Panel
      title={t("violations.history")}
      resource={resource}
      isEmpty={items.length === 0}
      empty={t("violations.none")}
      aside={
        <div className="filters">
          <label>
            {t("violations.from")} <input type="date" value={from} max={to} onChange={(event) => event.target.value && change({ from: event.target.value }, "replace")} />
          </label>
          <label>
            {t("violations.to")} <input type="date" value={to} min={from} onChange={(event) => event.target.value && change({ to: event.target.value }, "replace")} />
          </label>
          <label>
            {t("violations.severity")}{" "}
            <select value={severity} onChange={(event) => change({ severity: event.target.value }, "replace")}>
              <option value="">{t("violations.all")}</option>
              {SEVERITIES.map((name) => (
                <option key={name} value={name}>
                  {t(`severity.${name}` as Key)}
                </option>
              ))}
            </select>
          </label>
        </div>
      }
    >
      <ViolationTable violations={items} />
      {cursor && (
        <p className="filtered">
          <button onClick={() => void readMore().catch(resource.reload)}>{t("violations.more")}</button>
        </p>
      )}
    </Panel>
  );
}
