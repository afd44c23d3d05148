// The last quarter of an hour in a hundred pixels.

import { memo } from "react";

const WIDTH = 120;
const HEIGHT = 22;

interface Props {
  /** Evenly spaced; `null` where nothing was measured. */
  values: readonly (number | null)[] | undefined;
  /** Value of the upper edge. */
  top: number;
}

/** Lines, broken where there are no values. */
export function path(values: readonly (number | null)[], top: number): string {
  let text = "";
  let isDrawing = false;
  for (const [index, value] of values.entries()) {
    if (value === null) {
      isDrawing = false;
      continue;
    }
    const x = (index / Math.max(1, values.length - 1)) * WIDTH;
    const y = HEIGHT - 1 - Math.min(1, Math.max(0, value / top)) * (HEIGHT - 2);
    text += `${isDrawing ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    isDrawing = true;
  }
  return text;
}

export const Sparkline = memo(function Sparkline({ values, top }: Props) {
  return (
    <svg className="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      {values && <path d={path(values, top)} vectorEffect="non-scaling-stroke" />}
    </svg>
  );
});
