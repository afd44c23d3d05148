// Which rows are on the screen. Pure.

/** Rows above and below the screen, so that scrolling shows no gaps. */
const SPARE = 8;

export interface Window {
  first: number;
  last: number;
}

/** Which rows are on a screen of `height` px, scrolled by `top` px. */
export function windowOf(count: number, rowPx: number, top: number, height: number): Window {
  const first = Math.max(0, Math.floor(top / rowPx) - SPARE);
  const last = Math.min(count, Math.ceil((top + height) / rowPx) + SPARE);
  return { first: Math.min(first, last), last };
}
