// Machines as dense rows, live. The order is looked at anew every few seconds, and not while somebody points at a row: nothing jumps away; values move always.

import { memo, useCallback, useEffect, useMemo, useRef, useState, type CSSProperties } from "react";

import type { Kind, Status, Violation } from "../api/client.ts";
import { StatusMark } from "../components/Marks.tsx";
import { Link } from "../components/Link.tsx";
import { Rows } from "../components/Rows.tsx";
import { useHeld } from "../components/useHeld.ts";
import { useRoom } from "../components/useRoom.ts";
import type { Window } from "../components/window.ts";
import { percent } from "../format/numbers.ts";
import { machinePath, useQuery } from "../router.ts";
import { fleets, type FleetStore, type Row } from "../state/fleet.ts";
import { maintenanceOf, silences } from "../state/silences.ts";
import { SPARK_METRIC, sparks } from "../state/sparks.ts";
import { useStore } from "../state/store.ts";
import { open } from "../state/violations.ts";
import { t } from "../text/index.ts";
import { COLUMNS, type Column } from "./fleet-columns.tsx";
import { arrange, grouped, type Choice, type Line } from "./fleet-order.ts";

/** How often the order follows the values. */
const ORDER_MS = 3_000;
const NONE: readonly Violation[] = [];

/** Widths of the room at which columns of a rank find place. */
const RANKS: [number, 1 | 2 | 3][] = [
  [1_180, 3],
  [820, 2],
  [0, 1],
];
/** Below it a row is a card of three lines. */
const NARROW_PX = 620;
const ROW_PX = 35;
const CARD_PX = 88;
/** What a card shows although there is little room. */
const ON_CARDS = ["network"];

interface Props {
  fleet: FleetStore;
  choice: Choice;
  scroller: () => HTMLElement | null;
}

export function MachineTable({ fleet, choice, scroller }: Props) {
  const { kind, hostId } = fleet;
  const drawn = useStore(fleet.drawn);
  useStore(sparks[kind].drawn);
  const violations = useStore(open);
  useStore(silences);
  const [, change] = useQuery();
  const box = useRef<HTMLDivElement>(null);
  const room = useRoom(box);
  const { isHeld, handlers } = useHeld();
  const holds = useRef(isHeld);
  useEffect(() => {
    holds.current = isHeld;
  }, [isHeld]);
  const [order, setOrder] = useState<{ key: string; at: number; size: number; lines: Line[] }>({ key: "", at: 0, size: -1, lines: [] });

  const hostName = useCallback((row: Row) => hostNameOf(row), []);
  const key = JSON.stringify(choice);
  useEffect(() => {
    const now = performance.now();
    const isDue = now - order.at > ORDER_MS && !holds.current;
    if (order.key === key && order.size === fleet.rows.size && !isDue) return;
    const columns = new Map(COLUMNS[kind].map((column) => [column.id, column]));
    const shown = (row: Row) => ({ row, status: fleet.status(row), violations: violations.byMachine.get(row.id) ?? NONE, hostName: hostName(row) });
    const rows = arrange(fleet.rows.values(), choice, {
      status: (row) => fleet.status(row),
      key: (row, column) => columns.get(column)?.key?.(shown(row)) ?? null,
      violations: (row) => violations.byMachine.get(row.id)?.length ?? 0,
      hostName,
    });
    setOrder({ key, at: now, size: fleet.rows.size, lines: grouped(rows, choice.group, hostName) });
  }, [drawn, key, violations, kind, choice, fleet, hostName, order]);

  const isNarrow = room < NARROW_PX;
  const rank = RANKS.find(([px]) => room >= px)?.[1] ?? 1;
  const known = useMemo(() => COLUMNS[kind].filter((column) => !(hostId !== undefined && column.id === "host")), [kind, hostId]);
  const columns = useMemo(() => known.filter((column) => column.rank <= rank || (isNarrow && ON_CARDS.includes(column.id))), [known, rank, isNarrow]);
  const style: CSSProperties = isNarrow ? {} : { gridTemplateColumns: columns.map((column) => column.width).join(" ") };
  const lines = order.lines;

  const show = useCallback(
    (window: Window) => {
      const ids = lines.slice(window.first, window.last).flatMap((line) => (line.type === "row" ? [line.row.id] : []));
      sparks[kind].show(ids);
    },
    [lines, kind],
  );

  const sorted = choice.sort.replace(/^-/, "");
  const direction = choice.sort.startsWith("-") ? "descending" : "ascending";
  /** Its own order first, then the other one. */
  const sortBy = (column: Column) => {
    const first = column.isText ? column.id : `-${column.id}`;
    const other = column.isText ? `-${column.id}` : column.id;
    change({ sort: choice.sort === first ? other : first }, "replace");
  };

  return (
    <>
      {isNarrow && <Sorting columns={known} sorted={sorted} direction={direction} sortBy={sortBy} />}
      <div className={`machines ${kind} ${isNarrow ? "narrow" : ""}`} ref={box} role="table" aria-rowcount={lines.length + 1} aria-label={t(kind === "host" ? "fleet.hosts" : "fleet.containers")}>
        <div className="head" role="row" style={style}>
          {columns.map((column) => {
            const isSorted = sorted === column.id;
            return (
              <div key={column.id} role="columnheader" className={column.isText ? "" : "right"} aria-sort={isSorted ? direction : "none"}>
                {column.key ? (
                  <button onClick={() => sortBy(column)} className={isSorted ? direction : ""}>
                    {t(column.title)}
                  </button>
                ) : (
                  <span>{t(column.title)}</span>
                )}
              </div>
            );
          })}
        </div>
        <div {...handlers} role="presentation">
          <Rows
            count={lines.length}
            rowPx={isNarrow ? CARD_PX : ROW_PX}
            scroller={scroller}
            onWindow={show}
            row={(index) => {
              const line = lines[index];
              if (!line) return null;
              if (line.type === "group") return <GroupLine key={`group ${line.name}`} fleet={fleet} line={line} label={choice.group} index={index} />;
              const { row } = line;
              const of = violations.byMachine.get(row.id) ?? NONE;
              const spark = sparks[kind].get(row.id);
              return <MachineRow key={row.id} kind={kind} row={row} version={row.version} status={fleet.status(row)} violations={of} spark={spark} maintenance={maintenanceOf(kind, row)} columns={columns} style={style} index={index} hostName={hostId === undefined ? hostName(row) : ""} />;
            }}
          />
        </div>
        {lines.length === 0 && order.size > 0 && <div className="nothing">{t("fleet.none")}</div>}
      </div>
    </>
  );
}

interface SortingProps {
  columns: readonly Column[];
  sorted: string;
  direction: "ascending" | "descending";
  sortBy: (column: Column) => void;
}

/** In place of the heads, where there are none. */
function Sorting({ columns, sorted, direction, sortBy }: SortingProps) {
  const sortable = columns.filter((column) => column.key);
  const current = sortable.find((column) => column.id === sorted);
  const choose = (id: string) => {
    const column = sortable.find((column) => column.id === id);
    if (column) sortBy(column);
  };
  return (
    <div className="sorting">
      <label>
        {t("violations.sort")}{" "}
        <select value={current?.id ?? ""} onChange={(event) => choose(event.target.value)}>
          {!current && <option value="" />}
          {sortable.map((column) => (
            <option key={column.id} value={column.id}>
              {t(column.title)}
            </option>
          ))}
        </select>
      </label>
      {current && (
        <button onClick={() => sortBy(current)} aria-label={t("fleet.turn")} title={t("fleet.turn")}>
          {direction === "ascending" ? "↑" : "↓"}
        </button>
      )}
    </div>
  );
}

/** What people call the host of a row. */
function hostNameOf(row: Row): string {
  return fleets.host.byHost.get(row.hostId)?.name ?? row.hostId;
}

interface RowProps {
  kind: Kind;
  row: Row;
  /** With these it is drawn anew only when something of it changed. */
  version: number;
  spark: readonly (number | null)[] | undefined;
  status: Status;
  violations: readonly Violation[];
  /** Why it is being worked on. */
  maintenance: string | null;
  columns: readonly Column[];
  style: CSSProperties;
  index: number;
  hostName: string;
}

const MachineRow = memo(
  function MachineRow({ kind, row, status, violations, maintenance, columns, style, index, hostName }: RowProps) {
    const shown = { row, status, violations, hostName };
    return (
      <div className={`row ${status}`} role="row" aria-rowindex={index + 2} style={style}>
        {columns.map((column) =>
          column.id === "name" ? (
            <div key="name" role="cell" className="name">
              <StatusMark status={status} />
              <Link href={machinePath(kind, row.id)} title={row.name}>
                {row.name}
              </Link>
              {maintenance !== null && (
                <span className="mark" title={maintenance}>
                  {t("silences.kind.maintenance")}
                </span>
              )}
              <Labels row={row} kind={kind} hostName={columns.some((other) => other.id === "host") ? "" : hostName} />
            </div>
          ) : (
            <div key={column.id} role="cell" className={`${column.id} ${column.isText ? "" : "right"}`}>
              {column.render(shown)}
            </div>
          ),
        )}
      </div>
    );
  },
  (before, after) =>
    before.version === after.version &&
    before.row === after.row &&
    before.spark === after.spark &&
    before.status === after.status &&
    before.violations === after.violations &&
    before.maintenance === after.maintenance &&
    before.columns === after.columns &&
    before.style.gridTemplateColumns === after.style.gridTemplateColumns &&
    before.index === after.index &&
    before.hostName === after.hostName,
);

function Labels({ row, kind, hostName }: { row: Row; kind: Kind; hostName: string }) {
  if (kind === "container") {
    const project = row.labels["com.docker.compose.project"];
    return <small className="labels">{[project, hostName].filter(Boolean).join(" · ")}</small>;
  }
  return <small className="labels">{Object.entries(row.labels).map(([name, value]) => `${name}=${value}`).join("  ")}</small>;
}

function GroupLine({ fleet, line, label, index }: { fleet: FleetStore; line: Line & { type: "group" }; label: string; index: number }) {
  const { kind } = fleet;
  const down = line.rows.filter((row) => ["down", "late"].includes(fleet.status(row))).length;
  const loads = kind === "host" ? line.rows.map((row) => fleet.number(row, SPARK_METRIC.host)).filter((value) => value !== null) : [];
  const mean = loads.length > 0 ? loads.reduce((sum, value) => sum + value, 0) / loads.length : null;
  return (
    <div className="row group" role="row" aria-rowindex={index + 2}>
      <div role="cell">
        <b>{line.name || t("fleet.ungrouped", { label })}</b>
        <span>{line.rows.length}</span>
        {down > 0 && <span className="bad">{`${down} ${t("status.down")}`}</span>}
        {mean !== null && <span>{`${t("column.cpu")} ${percent(mean)}`}</span>}
      </div>
    </div>
  );
}
