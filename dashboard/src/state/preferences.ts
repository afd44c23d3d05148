// What somebody chose for this browser. What a link should carry is in the URL instead (`router.ts`).

import { Store, useStore } from "./store.ts";

export type Theme = "auto" | "light" | "dark";
export type Language = "auto" | "en" | "ko";
/** What rings when it opens: nothing, what is critical, or warnings, too. */
export type Alarm = "off" | "critical" | "warning";

export interface Preferences {
  theme: Theme;
  language: Language;
  /** IANA name; empty: the browser's own. */
  zone: string;
  /** Who makes changes here; empty: nobody says. */
  operator: string;
  alarm: Alarm;
  /** How it rings. */
  hasSound: boolean;
  hasNotification: boolean;
}

/** Characters of a name, as the backend takes them. */
export const OPERATOR_CHARS = 128;

const KEY = "server-monitoring";
const DEFAULTS: Preferences = { theme: "auto", language: "auto", zone: "", operator: "", alarm: "off", hasSound: true, hasNotification: false };

function read(): Preferences {
  try {
    return { ...DEFAULTS, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Preferences>) };
  } catch {
    // storage may be forbidden, or hold something else
    return DEFAULTS;
  }
}

export const preferences = new Store(read());

export function choose(change: Partial<Preferences>): void {
  preferences.set({ ...preferences.get(), ...change });
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences.get()));
  } catch {
    // kept for this visit only
  }
  apply();
}

export const onPreferences = preferences.subscribe;
export const usePreferences = () => useStore(preferences);
export const getPreferences = preferences.get;

const DARK = "(prefers-color-scheme: dark)";

/** The colours in use; charts draw with them. */
export const theme = new Store<"light" | "dark">("light");

/** The page follows the system where nothing else was chosen, and what is chosen in another tab. */
export function start(): void {
  matchMedia(DARK).addEventListener("change", apply);
  addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    preferences.set(read());
    apply();
  });
  apply();
}

function apply(): void {
  const { theme: chosen } = preferences.get();
  const shown = chosen === "auto" ? (matchMedia(DARK).matches ? "dark" : "light") : chosen;
  document.documentElement.dataset.theme = shown;
  theme.set(shown);
}

export function languageOf(chosen: Language): "en" | "ko" {
  if (chosen !== "auto") return chosen;
  return navigator.languages.some((language) => language.toLowerCase().startsWith("ko")) ? "ko" : "en";
}
