// What happened, as marks on the time axis. The name of one is shown while somebody points at it, in any chart or in the list of them.

import type uPlot from "uplot";

import { Store } from "../state/store.ts";

export interface Mark {
  id: string;
  /** Unix ms. */
  at: number;
  name: string;
  /** Something ended that should not. */
  isBad?: boolean;
  /** Its name is written beside it: there are few in this chart. */
  isNamed?: boolean;
}

/** Id of the mark that somebody points at. */
export const lit = new Store<string | null>(null);

/** So near a pointer is at a mark. */
const NEAR_PX = 6;
const TRIANGLE_PX = 5;

export function drawMarks(chart: uPlot, marks: readonly Mark[], color: (name: string) => string): void {
  const { ctx, bbox } = chart;
  const px = devicePixelRatio;
  const bottom = bbox.top + bbox.height;
  const drawn = new Set<number>();
  ctx.save();
  for (const mark of marks) {
    const x = Math.round(chart.valToPos(mark.at, "x", true));
    const isLit = mark.id === lit.get();
    // hundreds of them may be at one place
    if (x < bbox.left || x > bbox.left + bbox.width || (drawn.has(x) && !isLit)) continue;
    drawn.add(x);
    ctx.strokeStyle = ctx.fillStyle = color(mark.isBad ? "--critical" : "--muted");
    ctx.lineWidth = (isLit ? 2 : 1) * px;
    ctx.setLineDash(isLit ? [] : [2 * px, 3 * px]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bottom);
    ctx.stroke();
    if (mark.isNamed) {
      writeName(chart, mark.name, x, `${10 * px}px ${color("--font")}`);
      continue;
    }
    ctx.beginPath();
    ctx.moveTo(x - TRIANGLE_PX * px, bottom);
    ctx.lineTo(x + TRIANGLE_PX * px, bottom);
    ctx.lineTo(x, bottom - 1.6 * TRIANGLE_PX * px);
    ctx.fill();
  }
  ctx.restore();
}

function writeName({ ctx, bbox }: uPlot, name: string, x: number, font: string): void {
  const gap = 4 * devicePixelRatio;
  ctx.font = font;
  // the axes leave theirs behind
  ctx.textBaseline = "alphabetic";
  const fits = x + gap + ctx.measureText(name).width < bbox.left + bbox.width;
  ctx.textAlign = fits ? "left" : "right";
  ctx.fillText(name, fits ? x + gap : x - gap, bbox.top + 12 * devicePixelRatio);
}

/** Lights the mark under the pointer, if it is over this chart: the cursors of the others only follow. */
export function pointAt(chart: uPlot, marks: readonly Mark[]): void {
  const left = chart.cursor.left;
  if (left === undefined || !chart.over.matches(":hover")) return;
  const distance = (mark: Mark) => Math.abs(chart.valToPos(mark.at, "x") - left);
  const near = marks.filter((mark) => !mark.isNamed && distance(mark) <= NEAR_PX).sort((one, other) => distance(one) - distance(other));
  lit.set(near[0]?.id ?? null);
}

/** Shows the name of the mark that is lit, where it is. */
export function showName(chart: uPlot, label: HTMLElement, marks: readonly Mark[]): void {
  const mark = marks.find((mark) => mark.id === lit.get());
  const left = mark ? chart.valToPos(mark.at, "x") : -1;
  const width = chart.over.clientWidth;
  label.hidden = left < 0 || left > width;
  if (!mark || label.hidden) return;
  label.textContent = mark.name;
  label.classList.toggle("before", left > width / 2);
  label.style.left = `${left}px`;
}
