// Who makes a change, as a header says it. Pure.

import { OPERATOR_CHARS } from "../state/preferences.ts";

/**
 * The value of `X-Operator`: the name in UTF-8. Browsers take bytes for the value of a header as characters up to U+00FF, so that a Korean
 * name is written byte by byte. `null` where there is no name.
 */
export function operatorHeader(name: string): string | null {
  // control characters are refused by the backend; of a pair that is cut in two no half is left
  const plain = [...name.replace(/\p{Cc}/gu, " ").trim()].slice(0, OPERATOR_CHARS).join("").trim();
  return plain ? String.fromCharCode(...new TextEncoder().encode(plain)) : null;
}
