// The page speaks English to tests of words.

import { en } from "../src/text/en.ts";
import { spoken } from "../src/text/index.ts";

export function speakEnglish(): void {
  spoken.set({ language: "en", texts: en });
}
