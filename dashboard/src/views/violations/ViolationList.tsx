// Violations as dense rows, as cards where there is little room; each can be acknowledged where it stands.

import { memo, useCallback, useEffect, useMemo, useRef, useState, type CSSProperties } from "react";

import type { Violation } from "../../api/client.ts";
import { SeverityMark } from "../../components/Marks.tsx";
import { Rows } from "../../components/Rows.tsx";
import { useNow } from "../../components/useNow.ts";
import { useRoom } from "../../components/useRoom.ts";
import type { Window } from "../../components/window.ts";
import { t } from "../../text/index.ts";
import { AcknowledgeForm, type Intent } from "./AcknowledgeForm.tsx";
import { TOGETHER_MAX } from "./acknowledging.ts";
import { COLUMNS, type Column } from "./columns.tsx";
import { SEVERITIES } from "./filters.ts";
import type { Line } from "./order.ts";

/** Widths of the room at which columns of a rank find place. */
const RANKS: [number, 1 | 2 | 3][] = [
  [1_120, 3],
  [960, 2],
  [0, 1],
];
/** Below it a row is a card. */
const NARROW_PX = 780;
const ROW_PX = 36;
const CARD_PX = 98;

interface Props {
  lines: readonly Line[];
  scroller: () => HTMLElement | null;
  label: string;
  /** What the page of a violation goes on with. */
  search?: string;
  hidesMachine?: boolean;
  /** Those that closed since the lines were made. */
  gone?: ReadonlySet<string>;
  onWindow?: (window: Window) => void;
  /** A form is open: the lines should stay where they are. */
  onBusy?: (isBusy: boolean) => void;
}

const NONE: ReadonlySet<string> = new Set();

export function ViolationList({ lines, scroller, label, search = "", hidesMachine = false, gone = NONE, onWindow, onBusy }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const room = useRoom(box);
  const now = useNow();
  const [comment, setComment] = useState("");
  const [intent, setIntent] = useState<Intent | null>(null);
  const isNarrow = room < NARROW_PX;
  const rank = RANKS.find(([px]) => room >= px)?.[1] ?? 1;
  const columns = useMemo(() => COLUMNS.filter((column) => (isNarrow || column.rank <= rank) && !(hidesMachine && column.id === "machine")), [isNarrow, rank, hidesMachine]);
  const style: CSSProperties = useMemo(() => (isNarrow ? {} : { gridTemplateColumns: [...columns.map((column) => column.width), "116px"].join(" ") }), [isNarrow, columns]);

  const isBusy = intent !== null;
  useEffect(() => onBusy?.(isBusy), [isBusy, onBusy]);
  const begin = useCallback((next: Intent) => {
    setComment("");
    setIntent(next);
  }, []);
  const done = useCallback(() => {
    setIntent((before) => {
      const at = before?.at;
      // the keyboard goes on where it was
      requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(`[data-at="${at}"]`)?.focus());
      return null;
    });
  }, []);
  const form = (at: string) => (intent?.at === at ? <AcknowledgeForm key={at + intent.type} intent={intent} comment={comment} onComment={setComment} onDone={done} /> : null);

  return (
    <div className={`violations ${isNarrow ? "narrow" : ""} ${hidesMachine ? "of-one" : ""}`} ref={box} role="table" aria-rowcount={lines.length + 1} aria-label={label}>
      <div role="rowgroup" className="heads">
        <div className="head" role="row" style={style}>
          {columns.map((column) => (
            <div key={column.id} role="columnheader" className={column.isRight ? "right" : ""}>
              {t(column.title)}
            </div>
          ))}
          <div role="columnheader">
            <span className="visually-hidden">{t("acknowledge")}</span>
          </div>
        </div>
      </div>
      <Rows
        count={lines.length}
        rowPx={isNarrow ? CARD_PX : ROW_PX}
        scroller={scroller}
        onWindow={onWindow}
        row={(index) => {
          const line = lines[index];
          if (!line) return null;
          if (line.type === "group") {
            const at = `group-${index}`;
            return (
              <GroupLine key={`group ${line.key}`} line={line} index={index} at={at} onAcknowledge={begin}>
                {form(at)}
              </GroupLine>
            );
          }
          const { violation } = line;
          const at = `row-${violation.id}`;
          return (
            <Row key={violation.id} violation={violation} columns={columns} style={style} index={index} now={violation.closed_at ? 0 : now} search={search} isGone={gone.has(violation.id)} at={at} onIntent={begin} form={form(at)} />
          );
        }}
      />
    </div>
  );
}

interface RowProps {
  violation: Violation;
  columns: readonly Column[];
  style: CSSProperties;
  index: number;
  now: number;
  search: string;
  isGone: boolean;
  at: string;
  onIntent: (intent: Intent) => void;
  form: React.ReactNode;
}

const Row = memo(function Row({ violation, columns, style, index, now, search, isGone, at, onIntent, form }: RowProps) {
  const shown = { violation, now, search, isGone };
  const isOver = Boolean(violation.closed_at) || isGone;
  const isCalm = Boolean(violation.silenced) || Boolean(violation.acknowledged);
  const type = violation.acknowledged ? "takeBack" : "acknowledge";
  const title = t(type === "takeBack" ? "acknowledge.takeBack" : "acknowledge");
  return (
    <div className={`row ${violation.severity} ${isOver ? "closed" : "open"} ${isCalm ? "calm" : ""} ${form ? "has-form" : ""}`} role="row" aria-rowindex={index + 2} style={style} data-id={violation.id}>
      {columns.map((column) => (
        <div key={column.id} role="cell" className={`of-${column.id} ${column.isRight ? "right" : ""}`}>
          {column.render(shown)}
        </div>
      ))}
      <div role="cell" className="actions">
        <button data-at={at} aria-expanded={form !== null} aria-label={`${title}: ${violation.machine_name} ${violation.metric}`} onClick={() => onIntent({ type, at, violations: [violation] })}>
          {title}
        </button>
        {form}
      </div>
    </div>
  );
});

interface GroupProps {
  line: Line & { type: "group" };
  index: number;
  at: string;
  onAcknowledge: (intent: Intent) => void;
  children: React.ReactNode;
}

function GroupLine({ line, index, at, onAcknowledge, children }: GroupProps) {
  const unseen = line.violations.filter((violation) => !violation.acknowledged);
  const count = Math.min(unseen.length, TOGETHER_MAX);
  return (
    <div className={`row group ${children ? "has-form" : ""}`} role="row" aria-rowindex={index + 2}>
      <div role="cell">
        <b title={line.name}>{line.name}</b>
        {SEVERITIES.map((severity) => {
          const of = line.violations.filter((violation) => violation.severity === severity).length;
          return of > 0 && <SeverityMark key={severity} severity={severity} count={of} />;
        })}
      </div>
      <div role="cell" className="actions">
        {unseen.length > 0 && (
          <button data-at={at} aria-label={`${t("acknowledge.all", { n: count })}: ${line.name}`} aria-expanded={Boolean(children)} onClick={() => onAcknowledge({ type: "acknowledge", at, violations: unseen })}>
            {t("acknowledge.all", { n: count })}
          </button>
        )}
        {children}
      </div>
    </div>
  );
}
