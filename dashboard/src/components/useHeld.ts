// Whether somebody points at a list, or has the keyboard in it: then nothing may move away under them. A mouse that lies there for long is nobody.

import { useCallback, useEffect, useMemo, useRef, useState } from "react";

const STILL_MS = 10_000;

export function useHeld() {
  const [isHeld, setHeld] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const hold = useCallback(() => {
    setHeld(true);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setHeld(false), STILL_MS);
  }, []);
  const release = useCallback(() => {
    clearTimeout(timer.current);
    setHeld(false);
  }, []);
  useEffect(() => () => clearTimeout(timer.current), []);
  const handlers = useMemo(() => ({ onPointerMove: hold, onPointerDown: hold, onKeyDown: hold, onFocus: hold, onPointerLeave: release, onBlur: release }), [hold, release]);
  return { isHeld, release, handlers };
}
