// Small things that say one thing: how a machine does, how bad it is, how full.

import { memo } from "react";

import type { Severity, Status } from "../api/client.ts";
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
