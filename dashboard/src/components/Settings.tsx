// Colours, language and time zone of this browser, and who sits before it.

import { useEffect, useRef } from "react";

import { choose, OPERATOR_CHARS, usePreferences, type Language, type Theme } from "../state/preferences.ts";
import { t } from "../text/index.ts";
import { AlarmSettings } from "./AlarmSettings.tsx";

export const ZONES = Intl.supportedValuesOf("timeZone");

export function Settings() {
  const { theme, language, zone, operator } = usePreferences();
  const box = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: Event) => {
      const isInside = event.target instanceof Node && box.current?.contains(event.target);
      const isEscape = event instanceof KeyboardEvent && event.key === "Escape";
      if (box.current && (isEscape || (event.type === "pointerdown" && !isInside))) box.current.open = false;
    };
    addEventListener("pointerdown", close);
    addEventListener("keydown", close);
    return () => {
      removeEventListener("pointerdown", close);
      removeEventListener("keydown", close);
    };
  }, []);
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <details className="settings" ref={box}>
      <summary aria-label={t("settings.title")} title={t("settings.title")}>
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M4 7h9m5 0h2M4 17h2m5 0h9M15.5 4.5v5M8.5 14.5v5" />
        </svg>
      </summary>
      <div>
        <label>
          {t("settings.operator")}
          <input value={operator} maxLength={OPERATOR_CHARS} autoComplete="name" onChange={(event) => choose({ operator: event.target.value })} />
          <small>{t("settings.operator.hint")}</small>
        </label>
        <label>
          {t("settings.theme")}
          <select value={theme} onChange={(event) => choose({ theme: event.target.value as Theme })}>
            <option value="auto">{t("settings.theme.auto")}</option>
            <option value="light">{t("settings.theme.light")}</option>
            <option value="dark">{t("settings.theme.dark")}</option>
          </select>
        </label>
        <label>
          {t("settings.language")}
          <select value={language} onChange={(event) => choose({ language: event.target.value as Language })}>
            <option value="auto">{t("settings.language.auto")}</option>
            <option value="en">English</option>
            <option value="ko">한국어</option>
          </select>
        </label>
        <label>
          {t("settings.zone")}
          <select value={zone} onChange={(event) => choose({ zone: event.target.value })}>
            <option value="">{t("settings.zone.auto", { zone: own })}</option>
            <option value="UTC">UTC</option>
            {ZONES.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <AlarmSettings />
      </div>
    </details>
  );
}
