// The only place that knows uPlot: makes a chart, gives it what is new, and takes it away again.

import { memo, useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import type { Severity } from "../api/client.ts";
import { byUnit, onAxis } from "../format/numbers.ts";
import { zone } from "../format/times.ts";
import { theme, usePreferences } from "../state/preferences.ts";
import { useStore } from "../state/store.ts";
import { ceiling, type Column } from "./columns.ts";
import { drawMarks, lit, type Mark, pointAt, showName } from "./marks.ts";

export interface Line {
  label: string;
  /** Number of its colour, from 0. */
  color: number;
  values: Column;
  /** Drawn as a band around the line. */
  min?: Column;
  max?: Column;
  /** What is below is filled: down to 0, or to the line before it in a stack. */
  filled?: boolean;
  /** The past, to compare with. */
  faint?: boolean;
  /** What the legend shows where the line is moved: stacked, or below the axis. */
  shown?: Column;
}

export interface ChartData {
  t: number[];
  lines: Line[];
  isStacked: boolean;
}

export interface Rule {
  value: number;
  severity: Severity;
  /** Where it closes again: drawn fainter. */
  isRecovery?: boolean;
}

export interface Stretch {
  from: number;
  to: number;
  severity: Severity;
}

interface Props {
  data: ChartData;
  /** Unix ms. */
  from: number;
  to: number;
  /** Of the catalog. */
  unit: string;
  /** The axis ends here at least, and here at most. */
  top?: number | undefined;
  limit?: number | undefined;
  rules?: readonly Rule[];
  stretches?: readonly Stretch[];
  marks?: readonly Mark[];
  onZoom: (from: number, to: number) => void;
  onReset: () => void;
  label: string;
}

const HEIGHT = 168;
/** Shorter drags are clicks. */
const DRAG_PX = 6;
const SYNC = "machine";

export const Chart = memo(function Chart(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const legend = useRef<HTMLUListElement>(null);
  const chart = useRef<uPlot | null>(null);
  const latest = useRef(props);
  const colors = useStore(theme);
  const { zone: zoneChosen, language } = usePreferences();
  const shape = shapeOf(props.data);

  useEffect(() => {
    latest.current = props;
  });

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = new uPlot(options(latest, legend, element.clientWidth), columns(latest.current.data), element);
    chart.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    const reset = () => latest.current.onReset();
    made.over.addEventListener("dblclick", reset);
    made.over.addEventListener("mouseleave", () => lit.set(null));
    const name = document.createElement("p");
    name.className = "mark-name";
    made.over.append(name);
    const showLit = () => {
      showName(made, name, latest.current.marks ?? []);
      if (latest.current.marks?.length) made.redraw(false, false);
    };
    showLit();
    const end = lit.subscribe(showLit);
    return () => {
      end();
      resized.disconnect();
      made.destroy();
      chart.current = null;
    };
    // the lines' number and nature, the colours and the zone are uPlot's for life
  }, [shape, colors, zoneChosen, language]);

  useEffect(() => {
    latest.current = props;
    chart.current?.setData(columns(props.data));
    if (chart.current) showValues(chart.current, latest.current, legend.current);
  }, [props]);

  return (
    <>
      <ul className="legend" ref={legend}>
        {props.data.lines.map((line, index) =>
          line.faint ? null : (
            <li key={index}>
              <i style={{ background: `var(--line-${line.color % 8})` }} />
              <span title={line.label}>{line.label}</span>
              <b data-line={index} />
            </li>
          ),
        )}
      </ul>
      <div className="chart" ref={box} role="img" aria-label={props.label} />
    </>
  );
});

/** What uPlot is told once. */
function shapeOf(data: ChartData): string {
  return data.lines.map((line) => `${line.color}${line.filled ? "f" : ""}${line.faint ? "p" : ""}${line.min ? "b" : ""}`).join() + data.isStacked;
}

/** Each line, and its band's edges behind it. */
function columns(data: ChartData): uPlot.AlignedData {
  const all: (number | null)[][] = [];
  for (const line of data.lines) {
    all.push(line.values);
    if (line.min && line.max) all.push(line.max, line.min);
  }
  return [data.t, ...all];
}

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function options(latest: { current: Props }, legend: { current: HTMLElement | null }, width: number): uPlot.Options {
  const { data } = latest.current;
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  const plain = { points: { show: false }, spanGaps: false };
  let below = -1;
  for (const line of data.lines) {
    const color = css(`--line-${line.color % 8}`);
    const place = series.length;
    series.push({
      ...plain,
      stroke: line.faint ? css("--line-past") : color,
      width: line.faint ? 1 : 1.5,
      ...(line.faint && { dash: [4, 3] }),
      ...(line.filled && below < 0 && { fill: alpha(color, data.isStacked ? 0.55 : 0.12) }),
    });
    if (line.filled && below >= 0) bands.push({ series: [place, below], fill: alpha(color, 0.55) });
    if (line.min && line.max) {
      series.push({ ...plain, width: 0 }, { ...plain, width: 0 });
      bands.push({ series: [place + 1, place + 2], fill: alpha(color, 0.16) });
    }
    if (data.isStacked && line.filled) below = place;
  }
  const font = `11px ${css("--font")}`;
  const axis = { font, stroke: css("--muted"), ticks: { show: false }, grid: { stroke: css("--grid"), width: 1 } };
  return {
    width,
    height: HEIGHT,
    ms: 1,
    series,
    bands,
    legend: { show: false },
    padding: [8, 8, 0, 0],
    tzDate: (at) => uPlot.tzDate(new Date(at), zone()),
    cursor: { sync: { key: SYNC }, drag: { x: true, y: false, setScale: false }, points: { size: 5 }, y: false },
    scales: {
      x: { range: () => [latest.current.from, latest.current.to] },
      y: { range: (_, least, greatest) => heights(latest.current, least, greatest) },
    },
    axes: [
      { ...axis, space: 70, size: 24, values: (_, splits) => timeLabels(splits) },
      { ...axis, space: 30, size: 64, ...(isBinary(latest.current) && { incrs: BINARY }), values: (_, splits) => splits.map((value) => onAxis(latest.current.unit, Math.abs(value))) },
    ],
    hooks: {
      drawClear: [(chart) => drawStretches(chart, latest.current)],
      draw: [
        (chart) => {
          drawRules(chart, latest.current);
          drawMarks(chart, latest.current.marks ?? [], css);
        },
      ],
      setCursor: [
        (chart) => {
          showValues(chart, latest.current, legend.current);
          pointAt(chart, latest.current.marks ?? []);
        },
      ],
      setSelect: [
        (chart) => {
          const { left, width } = chart.select;
          if (width < DRAG_PX) return;
          const at = (px: number) => chart.posToVal(px, "x");
          chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          latest.current.onZoom(at(left), at(left + width));
        },
      ],
    },
  };
}

function heights(props: Props, least: number | null, greatest: number | null): [number, number] {
  const bottom = Math.min(0, least ?? 0);
  let top = Math.max(greatest ?? 0, props.top ?? 0);
  // a threshold that is not far away is worth its place
  for (const rule of props.rules ?? []) if (rule.value > top && rule.value <= top * 2.5) top = rule.value * 1.02;
  top = top > 0 ? ceiling(top, isBinary(props)) : bottom < 0 ? 0 : 1;
  if (props.limit !== undefined) top = Math.min(top, props.limit);
  return [bottom < 0 ? -ceiling(-bottom, isBinary(props)) : 0, top];
}

const BINARY = Array.from({ length: 50 }, (_, power) => 2 ** power);
const isBinary = (props: Props) => props.unit.startsWith("By");

const DAY_MS = 86_400_000;

function timeLabels(splits: number[]): string[] {
  const step = (splits[1] ?? 0) - (splits[0] ?? 0);
  const language = document.documentElement.lang === "ko" ? "ko" : "en-GB";
  const timeZone = zone();
  const clock: Intl.DateTimeFormatOptions = { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(step < 60_000 && { second: "2-digit" }) };
  const date: Intl.DateTimeFormatOptions = { timeZone, day: "numeric", month: "short" };
  const times = new Intl.DateTimeFormat(language, step >= DAY_MS ? date : clock);
  const dates = new Intl.DateTimeFormat(language, date);
  let before = "";
  return splits.map((at) => {
    const day = dates.format(at);
    // a day is named where it begins
    const isNew = step < DAY_MS && before !== "" && day !== before;
    before = day;
    return isNew ? day : times.format(at);
  });
}

/** The style's colours are written as `#rrggbb`. */
function alpha(color: string, share: number): string {
  return color + Math.round(share * 255).toString(16).padStart(2, "0");
}

function drawStretches(chart: uPlot, props: Props): void {
  const { ctx, bbox } = chart;
  ctx.save();
  for (const stretch of props.stretches ?? []) {
    const left = Math.max(bbox.left, chart.valToPos(stretch.from, "x", true));
    const right = Math.min(bbox.left + bbox.width, chart.valToPos(stretch.to, "x", true));
    if (right < left) continue;
    const color = css(`--${stretch.severity}`);
    ctx.fillStyle = alpha(color, 0.13);
    ctx.fillRect(left, bbox.top, Math.max(2, right - left), bbox.height);
    ctx.fillStyle = color;
    ctx.fillRect(left, bbox.top, Math.max(2, right - left), 2 * devicePixelRatio);
  }
  ctx.restore();
}

function drawRules(chart: uPlot, props: Props): void {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  for (const rule of props.rules ?? []) {
    const y = chart.valToPos(rule.value, "y", true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.strokeStyle = css(rule.isRecovery ? "--muted" : `--${rule.severity}`);
    ctx.setLineDash((rule.isRecovery ? [2, 4] : [6, 4]).map((px) => px * devicePixelRatio));
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
}

/** The values under the cursor, else the newest ones. Past React: the cursor moves faster. */
function showValues(chart: uPlot, props: Props, legend: HTMLElement | null): void {
  const cursor = chart.cursor.idx;
  for (const element of legend?.querySelectorAll<HTMLElement>("[data-line]") ?? []) {
    const line = props.data.lines[Number(element.dataset.line)];
    const values = line?.shown ?? line?.values ?? [];
    const value = typeof cursor === "number" ? values[cursor] : values.findLast((value) => value !== null);
    element.textContent = value === null || value === undefined ? "–" : byUnit(props.unit, Math.abs(value));
  }
}
