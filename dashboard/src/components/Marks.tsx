// Small things that say one thing: how a machine does, how bad it is, how full.

import { memo } from "react";

import type { Severity, Status, Violation } from "../api/client.ts";
import { isCalm, SEVERITIES } from "../state/violations.ts";
import { t, type Key } from "../text/index.ts";

/** Shape and colour both say it. */
export function StatusMark({ status }: { status: Status }) {
  const text = t(`status.${status}` as Key);
  return (
    <span className={`status ${status}`} title={text}>
      <span className="visually-hidden">{text}</span>
    </span>
  );
}

export function SeverityMark({ severity, count }: { severity: Severity; count?: number }) {
  const text = t(`severity.${severity}` as Key);
  return (
    <span className={`severity ${severity}`} title={text}>
      {count ?? text}
      {count !== undefined && <span className="visually-hidden"> {text}</span>}
    </span>
  );
}

/** How many there are of each severity, the worst first, and without colour how many nobody has to look at. */
export function SeverityCounts({ violations }: { violations: readonly Violation[] }) {
  const calm = violations.filter(isCalm).length;
  return (
    <span className="severities">
      {SEVERITIES.map((severity) => {
        const count = violations.filter((violation) => violation.severity === severity && !isCalm(violation)).length;
        return count > 0 && <SeverityMark key={severity} severity={severity} count={count} />;
      })}
      {calm > 0 && (
        <span className="severity calm" title={t("violations.calm")}>
          {calm}
          <span className="visually-hidden"> {t("violations.calm")}</span>
        </span>
      )}
    </span>
  );
}

interface MeterProps {
  share: number | null;
  text: string;
  severity?: Severity | null | undefined;
  note?: string | null;
}

/** A share as number and bar. It has a colour only where a threshold is violated: colour means trouble. */
export const Meter = memo(function Meter({ share, text, severity, note }: MeterProps) {
  return (
    <span className={`meter ${severity ?? ""}`} title={note ? `${text} ${note}` : text}>
      <span className="number">
        {text}
        {note && <small>{note}</small>}
      </span>
      <i>{share !== null && <b style={{ width: `${Math.min(100, Math.max(0, share * 100))}%` }} />}</i>
    </span>
  );
});
