// `t("key", { n: 3 })`: what the page says, in the chosen language. Each browser loads the words of one language alone.

import { languageOf, preferences } from "../state/preferences.ts";
import { Store } from "../state/store.ts";
import type { Key } from "./en.ts";
import { fill } from "./fill.ts";

export type { Key };

type Language = "en" | "ko";

const READ: Record<Language, () => Promise<Record<Key, string>>> = {
  en: async () => (await import("./en.ts")).en,
  ko: async () => (await import("./ko.ts")).ko,
};

/** The language that is spoken, once its words are there. */
export const spoken = new Store<{ language: Language; texts: Record<Key, string> } | null>(null);

export function t(key: Key, words: Record<string, string | number> = {}): string {
  return fill(spoken.get()?.texts[key] ?? key, words);
}

/** Speaks the language that is chosen. When its words cannot be read, the one before is spoken on. */
export async function speak(): Promise<void> {
  const language = languageOf(preferences.get().language);
  if (spoken.get()?.language === language) return;
  const texts = await READ[language]();
  // somebody may have chosen again meanwhile
  if (languageOf(preferences.get().language) !== language) return;
  document.documentElement.lang = language;
  spoken.set({ language, texts });
}

/** Follows what is chosen. */
export async function start(): Promise<void> {
  preferences.subscribe(() => void speak());
  await speak();
}
