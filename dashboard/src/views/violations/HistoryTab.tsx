// What was violated in a range of dates, page by page, with all filters that the API knows; as a file, too.

import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { api, fileOf, type Violation } from "../../api/client.ts";
import { Panel } from "../../components/Panel.tsx";
import { useHeld } from "../../components/useHeld.ts";
import { useNow } from "../../components/useNow.ts";
import type { Window } from "../../components/window.ts";
import { zone } from "../../format/times.ts";
import { now, on } from "../../live/live.ts";
import { useQuery } from "../../router.ts";
import { usePages } from "../../state/pages.ts";
import { t } from "../../text/index.ts";
import { Counts } from "./Counts.tsx";
import { FilterBar, useFilters } from "./FilterBar.tsx";
import { fits, question, written, type Filters } from "./filters.ts";
import { grouped } from "./order.ts";
import { asked, type Period } from "./period.ts";
import { PeriodLine } from "./PeriodLine.tsx";
import { ViolationList } from "./ViolationList.tsx";

const PAGE = 200;
/** So many rows before the end of what is read the next page is asked for. */
const AHEAD = 40;
/** What opens is in the list after so long at most. */
const FOLLOW_MS = 3_000;

interface Wording {
  match: "opened" | undefined;
  sort: "opened_at" | undefined;
}

export function HistoryTab({ period, scroller }: { period: Period; scroller: () => HTMLElement | null }) {
  const [query, change] = useQuery();
  const [filters, refilter] = useFilters();
  const tz = zone();
  const wording: Wording = { match: query.get("match") === "opened" ? "opened" : undefined, sort: query.get("sort") === "opened_at" ? "opened_at" : undefined };
  const key = JSON.stringify([period, filters, wording, tz]);
  const pages = usePages<Violation>(key, (cursor, signal) => api.violations({ ...asked(period, now(), tz), ...question(filters), ...wording, limit: PAGE, cursor }, signal));
  const items = pages.data;
  const lines = useMemo(() => grouped(items ?? [], ""), [items]);
  const held = useHeld();
  const [isBusy, setBusy] = useState(false);
  const [isDeep, setDeep] = useState(false);
  const newer = useNewer({ period, filters, wording, key, isHeld: held.isHeld || isBusy || isDeep, reload: pages.reload });
  usePatches(pages.patch);

  const { more, hasMore, moreError } = pages;
  const length = lines.length;
  const look = useCallback(
    (window: Window) => {
      setDeep(window.first > 0);
      if (hasMore && !moreError && window.last > length - AHEAD) more();
    },
    [more, hasMore, moreError, length],
  );
  return (
    <>
      <PeriodLine period={period} />
      <FilterBar filters={filters} change={refilter} hasState>
        <label>
          {t("violations.match")}
          <select value={wording.match ?? ""} onChange={(event) => change({ match: event.target.value }, "replace")}>
            <option value="">{t("violations.match.overlapping")}</option>
            <option value="opened">{t("violations.match.opened")}</option>
          </select>
        </label>
        <label>
          {t("violations.sort")}
          <select value={wording.sort ?? ""} onChange={(event) => change({ sort: event.target.value }, "replace")}>
            <option value="">{t("violations.sort.-opened_at")}</option>
            <option value="opened_at">{t("violations.sort.opened_at")}</option>
          </select>
        </label>
      </FilterBar>
      <Counts period={period} filters={filters} onFilters={refilter} onDays={(from, to) => change({ from, to, range: null, match: "opened" })} />
      <Panel
        title={t("violations.history")}
        className="list"
        resource={pages}
        isEmpty={items?.length === 0}
        empty={t("violations.none")}
        aside={<Files period={period} filters={filters} wording={wording} />}
      >
        <div {...held.handlers}>
          <p className="newer" role="status">
            {newer.count > 0 && <button onClick={newer.show}>{t("violations.newer", { n: newer.count })}</button>}
          </p>
          <ViolationList lines={lines} scroller={scroller} label={t("violations.history")} search={location.search} onWindow={look} onBusy={setBusy} />
        </div>
        <p className="filtered" role="status">
          {moreError && <span className="bad">{t("panel.error", { reason: moreError })}</span>}
          {hasMore ? (
            <button onClick={more} disabled={pages.isReadingMore}>
              {t(pages.isReadingMore ? "panel.loading" : "violations.more")}
            </button>
          ) : (
            <span className="muted">{t("violations.all.listed", { n: length })}</span>
          )}
        </p>
      </Panel>
    </>
  );
}

/** What happens to those that are listed is shown where they stand. */
function usePatches(patch: (id: string, change: (before: Violation) => Violation) => void): void {
  useEffect(() => {
    const names = ["violation.closed", "violation.acknowledged", "violation.silenced", "violation.opened"];
    const ends = names.map((name) =>
      on<Violation>(name, (now) => patch(now.id, (before) => (before.host_is_down && !now.closed_at ? { ...now, host_is_down: true } : now))),
    );
    return () => ends.forEach((end) => end());
  }, [patch]);
}

interface Following {
  period: Period;
  filters: Filters;
  wording: Wording;
  /** Of the list. */
  key: string;
  /** Somebody looks at what would be moved. */
  isHeld: boolean;
  reload: () => void;
}

/** What opens now comes into a list that goes on: soon, or when somebody who looks at it wants it. */
function useNewer({ period, filters, wording, key, isHeld, reload }: Following): { count: number; show: () => void } {
  const [waiting, setWaiting] = useState<{ key: string; ids: ReadonlySet<string> }>({ key, ids: new Set() });
  const latest = useRef({ filters, reload });
  useEffect(() => {
    latest.current = { filters, reload };
  });
  const show = useCallback(() => {
    setWaiting({ key, ids: new Set() });
    latest.current.reload();
  }, [key]);
  const isGoingOn = wording.sort === undefined && (period.type === "quick" || Date.parse(asked(period, 0, "").to ?? "") > now());
  useEffect(() => {
    if (!isGoingOn) return;
    return on<Violation>("violation.opened", (violation) => {
      // whether its machine has the labels only the backend knows
      if (!fits(violation, { ...latest.current.filters, label: [] }, null)) return;
      setWaiting((before) => ({ key, ids: new Set(before.key === key ? before.ids : []).add(violation.id) }));
    });
  }, [isGoingOn, key]);
  const count = waiting.key === key ? waiting.ids.size : 0;
  const isDue = count > 0 && !isHeld;
  useEffect(() => {
    if (!isDue) return;
    const timer = setTimeout(show, FOLLOW_MS);
    return () => clearTimeout(timer);
  }, [isDue, show]);
  return { count: isHeld ? count : 0, show };
}

function Files({ period, filters, wording }: { period: Period; filters: Filters; wording: Wording }) {
  const at = useNow();
  const stretch = Object.entries(asked(period, at, zone()));
  const words = Object.entries(wording).filter((word): word is [string, string] => word[1] !== undefined);
  const query = [...stretch, ...words, ...written(filters)];
  return (
    <>
      <a className="button" href={fileOf("/violations", query, "csv")} download>
        CSV
      </a>
      <a className="button" href={fileOf("/violations", query, "ndjson")} download>
        NDJSON
      </a>
    </>
  );
}
