// The only place that knows uPlot: makes a chart, gives it what is new, and takes it away again.

import { memo, useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import type { Severity } from "../api/client.ts";
import { onAxis } from "../format/numbers.ts";
import { zone } from "../format/times.ts";
import { theme, usePreferences } from "../state/preferences.ts";
import { useStore } from "../state/store.ts";
import { BINARY, heights, isBinary, timeLabels } from "./axes.ts";
import type { Column } from "./columns.ts";
import { showValues } from "./cursor.ts";
import { drawMarks, lit, type Mark, pointAt, showName } from "./marks.ts";
import { alpha, drawRules, drawStretches } from "./watched.ts";

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
  /** What the legend shows where the line is moved: stacked, below the axis, or out of it. */
  shown?: Column;
}

export interface ChartData {
  t: number[];
  lines: Line[];
  isStacked: boolean;
  /** Points that are farther apart, in ms, have nothing between them. */
  gap: number;
}

export interface Rule {
  value: number;
  severity: Severity;
  /** Where it closes again: drawn fainter. */
  isRecovery?: boolean;
  /** Of a metric that is drawn below the axis. */
  isBelow?: boolean;
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
  const clock = useRef<HTMLElement | null>(null);
  const latest = useRef(props);
  const colors = useStore(theme);
  const { zone: zoneChosen, language } = usePreferences();
  const shape = shapeOf(props);

  useEffect(() => {
    latest.current = props;
  });

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const time = document.createElement("p");
    time.className = "cursor-time";
    time.hidden = true;
    clock.current = time;
    const show = (chart: uPlot) => showValues(chart, latest.current, legend.current, time);
    const made = new uPlot(options(latest, show, element.clientWidth), columns(latest.current.data), element);
    chart.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    const reset = () => latest.current.onReset();
    made.over.addEventListener("dblclick", reset);
    made.over.addEventListener("mouseleave", () => lit.set(null));
    const name = document.createElement("p");
    name.className = "mark-name";
    made.over.append(name, time);
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
    if (chart.current && clock.current) showValues(chart.current, props, legend.current, clock.current);
  }, [props]);

  return (
    <>
      <ul className="legend" ref={legend}>
        {props.data.lines.map((line, index) => (
          <li key={index}>
            <i {...(line.faint ? { className: "past" } : { style: { background: `var(--line-${line.color % 8})` } })} />
            <span title={line.label}>{line.label}</span>
            <b data-line={index} />
          </li>
        ))}
      </ul>
      <div className="chart" ref={box} role="img" aria-label={props.label} />
    </>
  );
});

/** What uPlot is told once. */
function shapeOf({ data, unit }: Props): string {
  return unit + data.lines.map((line) => `${line.color}${line.filled ? "f" : ""}${line.faint ? "p" : ""}${line.min ? "b" : ""}`).join() + data.isStacked;
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

function options(latest: { current: Props }, show: (chart: uPlot) => void, width: number): uPlot.Options {
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
      width: 1.5,
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
    padding: [8, 16, 0, 0],
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
      // the fills of a stack would hide them
      drawClear: [(chart) => !data.isStacked && drawStretches(chart, latest.current.stretches ?? [], css, false)],
      draw: [
        (chart) => {
          if (data.isStacked) drawStretches(chart, latest.current.stretches ?? [], css, true);
          drawRules(chart, latest.current.rules ?? [], css);
          drawMarks(chart, latest.current.marks ?? [], css);
        },
      ],
      setCursor: [
        (chart) => {
          show(chart);
          pointAt(chart, latest.current.marks ?? []);
        },
      ],
      setSelect: [
        (chart) => {
          const { left, width } = chart.select;
          if (width < DRAG_PX) return;
          const at = (px: number) => chart.posToVal(px, "x");
          chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          // the other charts are told, too, but by no event
          if (!chart.cursor.event) return;
          latest.current.onZoom(at(left), at(left + width));
        },
      ],
    },
  };
}
