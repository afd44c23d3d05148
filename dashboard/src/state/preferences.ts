// What somebody chose for this browser. What a link should carry is in the URL instead (`router.ts`).

import { Store, useStore } from "./store.ts";

export type Theme = "auto" | "light" | "dark";
export type Language = "auto" | "en" | "ko";

export interface Preferences {
  theme: Theme;
  language: Language;
  /** IANA name; empty: the browser's own. */
  zone: string;
}

const KEY = "server-monitoring";
const DEFAULTS: Preferences = { theme: "auto", language: "auto", zone: "" };

function read(): Preferences {
  try {
    return { ...DEFAULTS, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Preferences>) };
  } catch {
    // storage may be forbidden, or hold something else
    return DEFAULTS;
  }
}

const preferences = new Store(read());

export function choose(change: Partial<Preferences>): void {
  preferences.set({ ...preferences.get(), ...change });
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences.get()));
  } catch {
    // kept for this visit only
  }
  apply();
}

export const usePreferences = () => useStore(preferences);
export const getPreferences = preferences.get;

const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", apply);

/** The colours in use; charts draw with them. */
export const theme = new Store<"light" | "dark">("light");

export function apply(): void {
  const { theme: chosen, language } = preferences.get();
  const shown = chosen === "auto" ? (dark.matches ? "dark" : "light") : chosen;
  document.documentElement.dataset.theme = shown;
  document.documentElement.lang = languageOf(language);
  theme.set(shown);
}

export function languageOf(chosen: Language): "en" | "ko" {
  if (chosen !== "auto") return chosen;
  return navigator.languages.some((language) => language.toLowerCase().startsWith("ko")) ? "ko" : "en";
}
