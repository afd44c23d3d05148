// What is violated now. The order follows what happens, but not while somebody points at a row: nothing jumps away.

import { useEffect, useMemo, useState } from "react";

import { api, type Violation } from "../../api/client.ts";
import { PanelBody } from "../../components/Panel.tsx";
import { useHeld } from "../../components/useHeld.ts";
import { on } from "../../live/live.ts";
import { useQuery } from "../../router.ts";
import { useResource } from "../../state/resource.ts";
import { coalesced, useStore } from "../../state/store.ts";
import { failure, isRead, OPEN_MAX, open, reload } from "../../state/violations.ts";
import { t, type Key } from "../../text/index.ts";
import { FilterBar, useFilters } from "./FilterBar.tsx";
import { ViolationList } from "./ViolationList.tsx";
import { fits, isFiltered, type Filters } from "./filters.ts";
import { found, grouped, GROUPS, ordered, ORDERS, type Line } from "./order.ts";

/** How often the backend is asked which of the open ones are of machines with a label. */
const LABELLED_MS = 2_000;

const NOBODY: ReadonlySet<string> = new Set();

export function OpenTab({ scroller }: { scroller: () => HTMLElement | null }) {
  const { all, isCut } = useStore(open);
  const isThere = useStore(isRead);
  const failed = useStore(failure);
  const [query, change] = useQuery();
  const [filters, refilter] = useFilters();
  const search = query.get("q") ?? "";
  const hidesSilenced = query.get("silenced") === "false";
  const group = GROUPS.find((name) => name === query.get("group")) ?? "";
  const order = ORDERS.find((name) => name === query.get("sort")) ?? "severity";
  const labelled = useLabelled(filters);

  const key = JSON.stringify([filters, search, hidesSilenced, group, order]);
  const arranged = useMemo(() => {
    const shown = [...all.values()].filter((violation) => fits(violation, filters, labelled) && !(hidesSilenced && violation.silenced) && found(violation, search));
    return grouped(ordered(shown, order), group);
    // the key has what is chosen
  }, [all, labelled, key]); // eslint-disable-line react-hooks/exhaustive-deps

  const held = useHeld();
  const [isBusy, setBusy] = useState(false);
  const [kept, setKept] = useState<{ key: string; lines: readonly Line[] }>({ key, lines: arranged });
  const isFree = kept.key !== key || !(held.isHeld || isBusy);
  if (isFree && kept.lines !== arranged) setKept({ key, lines: arranged });
  const { lines, gone, more } = useMemo(() => current(isFree ? arranged : kept.lines, arranged, all), [isFree, arranged, kept, all]);

  const counts = useMemo(() => countsOf(all.values()), [all]);
  const isNarrowed = isFiltered(filters) || search !== "" || hidesSilenced;
  const clear = () => change({ q: null, silenced: null, severity: null, kind: null, machine_id: null, host_id: null, label: null, metric: null, device: null, threshold_id: null, state: null, acknowledged: null }, "replace");
  return (
    <>
      <div className="toolbar">
        <input type="search" value={search} onChange={(event) => change({ q: event.target.value }, "replace")} placeholder={t("violations.search")} aria-label={t("violations.search")} />
        <label className="group-by">
          {t("fleet.group")}
          <select value={group} onChange={(event) => change({ group: event.target.value }, "replace")}>
            <option value="">{t("fleet.group.none")}</option>
            {GROUPS.map((name) => (
              <option key={name} value={name}>
                {t(`violations.group.${name}` as Key)}
              </option>
            ))}
          </select>
        </label>
        <label className="sort-by">
          {t("violations.sort")}
          <select value={order} onChange={(event) => change({ sort: event.target.value === "severity" ? null : event.target.value }, "replace")}>
            {ORDERS.map((name) => (
              <option key={name} value={name}>
                {t(`violations.sort.${name}` as Key)}
              </option>
            ))}
          </select>
        </label>
      </div>
      <FilterBar filters={filters} change={refilter} counts={counts} hasState={false}>
        <button className="chip" aria-pressed={filters.acknowledged === "false"} disabled={counts.acknowledged === 0 && !filters.acknowledged} onClick={() => refilter({ ...filters, acknowledged: filters.acknowledged === "false" ? "" : "false" })}>
          {t("violations.hideAcknowledged", { n: counts.acknowledged })}
        </button>
        <button className="chip" aria-pressed={hidesSilenced} disabled={counts.silenced === 0 && !hidesSilenced} onClick={() => change({ silenced: hidesSilenced ? null : "false" }, "replace")}>
          {t("violations.hideSilenced", { n: counts.silenced })}
        </button>
      </FilterBar>
      {failed && isThere && (
        <p className="stale" role="status">
          {t("panel.stale", { reason: failed })} <button onClick={() => void reload()}>{t("panel.retry")}</button>
        </p>
      )}
      <PanelBody resource={{ data: isThere ? true : null, error: failed, loading: !isThere, reload: () => void reload() }} isEmpty={lines.length === 0 && !isNarrowed} empty={t("violations.open.none")}>
        {isCut && <p className="muted">{t("violations.open.cut", { n: OPEN_MAX.toLocaleString() })}</p>}
        <div {...held.handlers}>
          <p className="newer" role="status">
            {more > 0 && <button onClick={() => setKept({ key, lines: arranged })}>{t("violations.newer", { n: more })}</button>}
          </p>
          <ViolationList lines={lines} scroller={scroller} label={t("violations.open")} search={location.search} gone={gone} onBusy={setBusy} />
        </div>
        {lines.length === 0 && (
          <div className="nothing">
            <p>{t("violations.open.noneFits")}</p>
            <button onClick={clear}>{t("fleet.clear")}</button>
          </div>
        )}
      </PanelBody>
    </>
  );
}

/** Lines with what is known now, which of them closed since they were made, and how many there are besides. */
function current(lines: readonly Line[], arranged: readonly Line[], all: ReadonlyMap<string, Violation>) {
  if (lines === arranged) return { lines, gone: NOBODY, more: 0 };
  const gone = new Set<string>();
  const shown = new Set<string>();
  const fresh = lines.map((line): Line => {
    if (line.type === "group") return line;
    shown.add(line.violation.id);
    const now = all.get(line.violation.id);
    if (!now) gone.add(line.violation.id);
    return now && now !== line.violation ? { type: "row", violation: now } : line;
  });
  const more = arranged.filter((line) => line.type === "row" && !shown.has(line.violation.id)).length;
  return { lines: fresh, gone, more };
}

function countsOf(all: Iterable<Violation>) {
  const counts = { critical: 0, warning: 0, info: 0, acknowledged: 0, silenced: 0 };
  for (const violation of all) {
    counts[violation.severity] += 1;
    if (violation.acknowledged) counts.acknowledged += 1;
    if (violation.silenced) counts.silenced += 1;
  }
  return counts;
}

/** Open violations of machines with the labels that are asked for; violations themselves do not have them. */
function useLabelled(filters: Filters): ReadonlySet<string> | null {
  const labels = filters.label;
  const resource = useResource(`open ${JSON.stringify(labels)}`, async (signal) => {
    const ids = new Set<string>();
    let cursor: string | undefined;
    do {
      if (labels.length === 0) break;
      const page = await api.violations({ state: "open", label: [...labels], limit: 1_000, cursor }, signal);
      page.items.forEach(({ id }) => ids.add(id));
      cursor = page.next_cursor ?? undefined;
    } while (cursor);
    return ids;
  });
  const again = resource.reload;
  const isAsked = labels.length > 0;
  useEffect(() => {
    if (!isAsked) return;
    return on("violation.opened", coalesced(again, LABELLED_MS));
  }, [isAsked, again]);
  return resource.data;
}
