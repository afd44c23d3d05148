// What is watched, in a chart: when it was violated, and the values of rules.

import type uPlot from "uplot";

import type { Rule, Stretch } from "./Chart.tsx";

type Css = (name: string) => string;

/** The style's colours are written as `#rrggbb`. */
export function alpha(color: string, share: number): string {
  return color + Math.round(share * 255).toString(16).padStart(2, "0");
}

const WORST = ["critical", "warning", "info"] as const;

/** Without overlaps, because one over another hides what is below: at each time the worst. */
export function worst(stretches: readonly Stretch[]): Stretch[] {
  const edges = [...new Set(stretches.flatMap(({ from, to }) => [from, Math.max(to, from + 1)]))].sort((one, other) => one - other);
  const found: Stretch[] = [];
  for (const [index, from] of edges.entries()) {
    const to = edges[index + 1] ?? from;
    const here = stretches.filter((stretch) => stretch.from < to && Math.max(stretch.to, stretch.from + 1) > from);
    const severity = WORST.find((severity) => here.some((stretch) => stretch.severity === severity));
    if (!severity) continue;
    const last = found.at(-1);
    if (last?.to === from && last.severity === severity) last.to = to;
    else found.push({ from, to, severity });
  }
  return found;
}

export function drawStretches(chart: uPlot, stretches: readonly Stretch[], css: Css, isOverFills: boolean): void {
  const { ctx, bbox } = chart;
  ctx.save();
  for (const stretch of worst(stretches)) {
    const left = Math.max(bbox.left, chart.valToPos(stretch.from, "x", true));
    const right = Math.min(bbox.left + bbox.width, chart.valToPos(stretch.to, "x", true));
    if (right < left) continue;
    const color = css(`--${stretch.severity}`);
    ctx.fillStyle = alpha(color, isOverFills ? 0.22 : 0.13);
    ctx.fillRect(left, bbox.top, Math.max(2, right - left), bbox.height);
    ctx.fillStyle = color;
    ctx.fillRect(left, bbox.top, Math.max(2, right - left), 2 * devicePixelRatio);
  }
  ctx.restore();
}

export function drawRules(chart: uPlot, rules: readonly Rule[], css: Css): void {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  for (const rule of rules) {
    const y = chart.valToPos(rule.isBelow ? -rule.value : rule.value, "y", true);
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
