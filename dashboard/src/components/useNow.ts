// Now, by the backend's clock, as often as it tells it: what lasts is shown a little longer each time.

import { useEffect, useState } from "react";

import { now, on } from "../live/live.ts";

export function useNow(): number {
  const [at, setAt] = useState(now);
  useEffect(() => on("clock", () => setAt(now())), []);
  return at;
}
