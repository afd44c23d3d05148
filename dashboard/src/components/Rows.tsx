// Rows of one height, of which only those on the screen are there: 20,000 cost as much as 40.

import { useEffect, useLayoutEffect, useRef, useState, type ReactNode } from "react";

import { windowOf, type Window } from "./window.ts";

interface Props {
  count: number;
  rowPx: number;
  /** What scrolls. */
  scroller: () => HTMLElement | null;
  row: (index: number) => ReactNode;
  onWindow?: ((window: Window) => void) | undefined;
}

export function Rows({ count, rowPx, scroller, row, onWindow }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [shown, setShown] = useState<Window>({ first: 0, last: Math.min(count, 40) });
  useLayoutEffect(() => {
    const outer = scroller();
    if (!outer) return;
    const look = () => {
      const top = outer.getBoundingClientRect().top - (box.current?.getBoundingClientRect().top ?? 0);
      const next = windowOf(count, rowPx, top, outer.clientHeight);
      setShown((before) => (before.first === next.first && before.last === next.last ? before : next));
    };
    look();
    outer.addEventListener("scroll", look, { passive: true });
    const resized = new ResizeObserver(look);
    resized.observe(outer);
    return () => {
      outer.removeEventListener("scroll", look);
      resized.disconnect();
    };
  }, [count, rowPx, scroller]);
  useEffect(() => onWindow?.(shown), [shown, onWindow]);
  const last = Math.min(shown.last, count);
  const indices = Array.from({ length: Math.max(0, last - shown.first) }, (_, index) => shown.first + index);
  return (
    <div className="rows" role="rowgroup" ref={box} style={{ height: count * rowPx }}>
      <div style={{ transform: `translateY(${shown.first * rowPx}px)` }}>{indices.map(row)}</div>
    </div>
  );
}
