// When a silence is active: once, on days of the week, or as cron says.

import { Choices, Field, TextField } from "../../components/Field.tsx";
import { ZONES } from "../../components/Settings.tsx";
import { durationText } from "../../format/quantity.ts";
import { instantOf, wallTime } from "../../format/zones.ts";
import { t } from "../../text/index.ts";
import type { Draft } from "./draft.ts";
import { dayName } from "./words.ts";

interface Props {
  draft: Draft;
  problems: Readonly<Record<string, string>>;
  onChange: (change: Partial<Draft>) => void;
  /** The clock in the draft's zone, so many ms from now. */
  nowAt: (ms: number) => string;
  durationHint: string | null;
}

/** Seconds that one often wants. */
const LENGTHS = [1_800, 3_600, 14_400, 86_400];
/** As a calendar shows them. */
const WEEK = [1, 2, 3, 4, 5, 6, 0];

export function ScheduleFields({ draft, problems, onChange, nowAt, durationHint }: Props) {
  const endAfter = (seconds: number) => {
    const from = draft.starts ? instantOf(draft.starts, draft.tz) : null;
    // a minute is all that the field holds: it must not end before it began
    onChange({ ends: from === null ? nowAt(seconds * 1_000 + 59_999) : wallTime(from + seconds * 1_000, draft.tz) });
  };
  const toggle = (day: number) => onChange({ days: draft.days.includes(day) ? draft.days.filter((other) => other !== day) : [...draft.days, day] });
  return (
    <>
      <Choices title={t("silences.recurs")} value={draft.when} options={(["once", "weekly", "cron"] as const).map((name) => [name, t(`silences.when.${name}`)] as const)} onChange={(when) => onChange({ when })} />
      {draft.when === "weekly" && (
        <fieldset className="entry choices">
          <legend>{t("silences.days")}</legend>
          <div className="segments">
            {WEEK.map((day) => (
              <label key={day}>
                <input type="checkbox" checked={draft.days.includes(day)} onChange={() => toggle(day)} />
                <span>{dayName(day)}</span>
              </label>
            ))}
          </div>
          {problems.cron && <p className="problem">{problems.cron}</p>}
        </fieldset>
      )}
      {draft.when !== "once" && (
        <div className="pairs">
          {draft.when === "weekly" ? (
            <TextField type="time" title={t("silences.time")} value={draft.time} onChange={(time) => onChange({ time })} />
          ) : (
            <TextField title={t("silences.cronText")} hint={t("silences.cron.hint")} value={draft.cron} problem={problems.cron} onChange={(cron) => onChange({ cron })} />
          )}
          <TextField title={t("silences.lasting")} value={draft.lasting} hint={durationHint && t("field.understood", { value: durationHint })} problem={problems.duration_seconds} onChange={(lasting) => onChange({ lasting })} />
        </div>
      )}
      <div className="pairs">
        <TextField type="datetime-local" title={t("silences.starts")} hint={draft.starts ? null : t(draft.when === "once" ? "silences.starts.now" : "silences.always")} value={draft.starts} problem={problems.starts_at} onChange={(starts) => onChange({ starts })} />
        <TextField type="datetime-local" title={t("silences.ends")} hint={draft.when !== "once" && !draft.ends ? t("silences.always") : null} value={draft.ends} problem={problems.ends_at} onChange={(ends) => onChange({ ends })} />
        <Field title={t("settings.zone")} problem={problems.tz}>
          {(ties) => (
            <select {...ties} value={draft.tz} onChange={(event) => onChange({ tz: event.target.value })}>
              {[...new Set(["UTC", draft.tz, ...ZONES])].map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          )}
        </Field>
      </div>
      {draft.when === "once" && (
        <div className="chips" role="group" aria-label={t("silences.lasting")}>
          {LENGTHS.map((seconds) => (
            <button key={seconds} type="button" className="chip" onClick={() => endAfter(seconds)}>
              {durationText(seconds)}
            </button>
          ))}
        </div>
      )}
    </>
  );
}
