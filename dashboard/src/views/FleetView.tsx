// All hosts, or all containers of all hosts.

import { useCallback, useEffect, useRef } from "react";

import type { Kind, Status } from "../api/client.ts";
import { Link } from "../components/Link.tsx";
import { useQuery } from "../router.ts";
import { fleets } from "../state/fleet.ts";
import { useStore } from "../state/store.ts";
import { open } from "../state/violations.ts";
import { t, type Key } from "../text/index.ts";
import { choiceOf, labelNames } from "./fleet-order.ts";
import { MachineTable } from "./MachineTable.tsx";

const STATUSES: Record<Kind, Status[]> = { host: ["up", "late", "down"], container: ["up", "late", "down", "stopped"] };
/** What is wrong first. */
const SORT: Record<Kind, string> = { host: "-violations", container: "-violations" };

export function FleetView({ kind }: { kind: Kind }) {
  const fleet = fleets[kind];
  const main = useRef<HTMLDivElement>(null);
  useEffect(() => fleet.use(), [fleet]);
  // containers are shown with the names of their hosts, and both tabs with their counts
  useEffect(() => fleets.host.use(), []);
  useStore(fleet.drawn);
  const { state, error } = useStore(fleet.loading);
  const violations = useStore(open);
  const [query, change] = useQuery();
  const choice = choiceOf(query, SORT[kind]);
  const scroller = useCallback(() => main.current, []);

  const counts = new Map<Status, number>();
  let violating = 0;
  for (const row of fleet.rows.values()) {
    const status = fleet.status(row);
    counts.set(status, (counts.get(status) ?? 0) + 1);
    if (violations.byMachine.has(row.id)) violating += 1;
  }
  const toggle = (status: Status) => {
    const others = choice.statuses.filter((other) => other !== status);
    change({ status: (others.length < choice.statuses.length ? others : [...others, status]).join(",") }, "replace");
  };
  const isFiltered = Boolean(choice.search || choice.statuses.length > 0 || choice.violating);
  const clear = () => change({ q: null, status: null, violating: null }, "replace");
  const groups = labelNames(fleet.rows.values());

  return (
    <div className="view fleet" ref={main}>
      <div className="toolbar">
        <div className="tabs">
          <Link href="/" aria-current={kind === "host" ? "page" : undefined}>
            {t("fleet.hosts")} {kind === "host" && <span className="count">{fleet.rows.size}</span>}
          </Link>
          <Link href="/containers" aria-current={kind === "container" ? "page" : undefined}>
            {t("fleet.containers")} {kind === "container" && <span className="count">{fleet.rows.size}</span>}
          </Link>
        </div>
        <input type="search" value={choice.search} onChange={(event) => change({ q: event.target.value }, "replace")} placeholder={t("fleet.search")} aria-label={t("fleet.search")} />
        <div className="chips">
          {STATUSES[kind].map((status) => (
            <button key={status} className={`chip ${status}`} aria-pressed={choice.statuses.includes(status)} onClick={() => toggle(status)} disabled={!counts.get(status) && !choice.statuses.includes(status)}>
              <span className={`status ${status}`} aria-hidden="true" />
              {counts.get(status) ?? 0} {t(`status.${status}` as Key)}
            </button>
          ))}
          <button className="chip" aria-pressed={choice.violating} onClick={() => change({ violating: choice.violating ? null : "1" }, "replace")} disabled={violating === 0 && !choice.violating}>
            {violating} {t("fleet.violating")}
          </button>
        </div>
        <label className="group-by">
          {t("fleet.group")}
          <select value={choice.group} onChange={(event) => change({ group: event.target.value }, "replace")}>
            <option value="">{t("fleet.group.none")}</option>
            {kind === "container" && <option value="host">{t("fleet.group.host")}</option>}
            {groups.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
            {choice.group && choice.group !== "host" && !groups.includes(choice.group) && <option value={choice.group}>{choice.group}</option>}
          </select>
        </label>
      </div>
      {error && fleet.rows.size > 0 && (
        <p className="stale" role="status">
          {t("panel.stale", { reason: error })} <button onClick={() => void fleet.load()}>{t("panel.retry")}</button>
        </p>
      )}
      {state === "loading" && fleet.rows.size === 0 ? (
        error ? (
          <div className="nothing" role="alert">
            <p>{t("panel.error", { reason: error })}</p>
            <button onClick={() => void fleet.load()}>{t("panel.retry")}</button>
          </div>
        ) : (
          <div className="nothing loading tall">
            <span className="visually-hidden">{t("panel.loading")}</span>
          </div>
        )
      ) : fleet.rows.size === 0 ? (
        <div className="nothing">
          <p>{t("fleet.empty")}</p>
          <p className="muted">{t("fleet.empty.hint")}</p>
        </div>
      ) : (
        <>
          <MachineTable fleet={fleet} choice={choice} scroller={scroller} />
          {isFiltered && (
            <p className="filtered">
              <button onClick={clear}>{t("fleet.clear")}</button>
            </p>
          )}
        </>
      )}
    </div>
  );
}
