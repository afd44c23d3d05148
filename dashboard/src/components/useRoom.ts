// How much room an element has, in px of its width.

import { useEffect, useState, type RefObject } from "react";

export function useRoom(box: RefObject<HTMLElement | null>, first = 1_200): number {
  const [room, setRoom] = useState(first);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const resized = new ResizeObserver(([entry]) => entry && setRoom(entry.contentRect.width));
    resized.observe(element);
    return () => resized.disconnect();
  }, [box]);
  return room;
}
