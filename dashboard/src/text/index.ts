// `t("key", { n: 3 })`: what the page says, in the chosen language.

import { getPreferences, languageOf } from "../state/preferences.ts";
import { en, type Key } from "./en.ts";
import { fill } from "./fill.ts";
import { ko } from "./ko.ts";

export type { Key };

export function t(key: Key, words: Record<string, string | number> = {}): string {
  const texts: Record<Key, string> = languageOf(getPreferences().language) === "ko" ? ko : en;
  return fill(texts[key], words);
}
