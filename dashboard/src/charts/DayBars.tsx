// How many a day, as bars by severity. A day, or several by dragging or with Shift, can be chosen; who does not see them reads a table.

import { useId, useRef, useState, type KeyboardEvent, type PointerEvent } from "react";

import { count as countText } from "../format/numbers.ts";
import { calendarDay } from "../format/times.ts";
import { t } from "../text/index.ts";
import { ceiling } from "./columns.ts";

export interface DayCount {
  day: string;
  count: number;
  critical: number;
  warning: number;
  info: number;
}

interface Props {
  items: readonly DayCount[];
  /** Days that the list is of, both ends included. */
  chosen: { from: string; to: string };
  label: string;
  onChoose: (from: string, to: string) => void;
}

/** The worst stands on the axis, where it is seen best. */
const STACK = ["critical", "warning", "info"] as const;
/** Days that have a label below. */
const LABELS = 7;
/** Width of the longest of them. */
const LABEL_PX = 54;

export function DayBars({ items, chosen, label, onChoose }: Props) {
  const id = useId();
  const [active, setActive] = useState<number | null>(null);
  const [anchor, setAnchor] = useState<number | null>(null);
  const isDragging = useRef(false);
  const top = ceiling(Math.max(...items.map((item) => item.count), 1));
  const [first, last] = anchor === null || active === null ? [-1, -1] : [Math.min(anchor, active), Math.max(anchor, active)];
  const isChosen = (index: number, day: string) => (anchor === null ? day >= chosen.from && day <= chosen.to : index >= first && index <= last);

  const choose = (one: number, other: number) => {
    const [from, to] = [items[Math.min(one, other)], items[Math.max(one, other)]];
    setAnchor(null);
    if (from && to) onChoose(from.day, to.day);
  };
  const indexAt = (event: PointerEvent) => {
    const box = event.currentTarget.getBoundingClientRect();
    const place = Math.floor(((event.clientX - box.left) / box.width) * items.length);
    return Math.min(items.length - 1, Math.max(0, place));
  };
  const press = (event: KeyboardEvent) => {
    const steps: Record<string, (now: number) => number> = { ArrowLeft: (now) => now - 1, ArrowRight: (now) => now + 1, Home: () => 0, End: () => items.length - 1 };
    const step = steps[event.key];
    if (step) {
      event.preventDefault();
      const now = active ?? items.length;
      const next = Math.min(items.length - 1, Math.max(0, step(now)));
      setAnchor(event.shiftKey ? (anchor ?? Math.min(now, items.length - 1)) : null);
      setActive(next);
    } else if ((event.key === "Enter" || event.key === " ") && active !== null) {
      event.preventDefault();
      choose(anchor ?? active, active);
    }
  };

  const within = items.filter((item) => item.day >= chosen.from && item.day <= chosen.to);
  const sum = { day: "", count: 0, critical: 0, warning: 0, info: 0 };
  for (const item of within) for (const name of ["count", ...STACK] as const) sum[name] += item[name];
  const told = active === null ? (within.length === 1 ? within[0] : undefined) : items[active];
  const stride = Math.ceil(items.length / LABELS);
  return (
    <figure className="day-bars">
      <figcaption aria-live="polite">{told ? `${calendarDay(told.day)}: ${countsText(told)}` : t("counts.chosen", { days: within.length, counts: countsText(sum) })}</figcaption>
      <div className="plot">
        <span className="scale" aria-hidden="true">
          {countText(top)}
        </span>
        <div
          className="bars"
          role="listbox"
          tabIndex={0}
          aria-label={label}
          aria-orientation="horizontal"
          aria-multiselectable="true"
          aria-activedescendant={active === null ? undefined : `${id}-${active}`}
          onKeyDown={press}
          onBlur={() => setActive(null)}
          onPointerDown={(event) => {
            if (event.button !== 0) return;
            isDragging.current = true;
            event.currentTarget.setPointerCapture(event.pointerId);
            setActive(indexAt(event));
            setAnchor(event.shiftKey && active !== null ? active : indexAt(event));
          }}
          onPointerMove={(event) => setActive(indexAt(event))}
          onPointerUp={(event) => {
            if (!isDragging.current) return;
            isDragging.current = false;
            choose(anchor ?? indexAt(event), indexAt(event));
          }}
          onPointerCancel={() => {
            isDragging.current = false;
            setAnchor(null);
          }}
          onPointerLeave={() => !isDragging.current && setActive(null)}
        >
          {items.map((item, index) => (
            <div key={item.day} id={`${id}-${index}`} role="option" aria-selected={isChosen(index, item.day)} aria-label={`${calendarDay(item.day)}: ${countsText(item)}`} className={index === active ? "active" : ""}>
              {STACK.map((severity) => item[severity] > 0 && <i key={severity} className={severity} style={{ height: `${(item[severity] / top) * 100}%` }} />)}
            </div>
          ))}
        </div>
      </div>
      <div className="days" aria-hidden="true">
        {items.map((item, index) => index % stride === 0 && index <= items.length - stride * 0.6 && <span key={item.day} style={{ left: `min(${(index / items.length) * 100}%, 100% - ${LABEL_PX}px)` }}>{calendarDay(item.day, "short")}</span>)}
      </div>
      <table className="visually-hidden">
        <caption>{label}</caption>
        <thead>
          <tr>
            <th>{t("counts.day")}</th>
            <th>{t("counts.all")}</th>
            {STACK.map((severity) => (
              <th key={severity}>{t(`severity.${severity}`)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr key={item.day}>
              <th scope="row">{calendarDay(item.day)}</th>
              <td>{item.count}</td>
              {STACK.map((severity) => (
                <td key={severity}>{item[severity]}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}

function countsText(item: DayCount): string {
  const parts = STACK.filter((severity) => item[severity] > 0).map((severity) => `${item[severity].toLocaleString("en")} ${t(`severity.${severity}`)}`);
  return t("counts.of", { n: item.count.toLocaleString("en") }) + (parts.length > 0 ? ` (${parts.join(", ")})` : "");
}
