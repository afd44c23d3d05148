// What opened just now, for a while: the worst of it, and how much more. It stands below the view and covers nothing.

import { useEffect } from "react";

import { machinePath } from "../router.ts";
import { close, told } from "../state/notices.ts";
import { useStore } from "../state/store.ts";
import { worst } from "../state/violations.ts";
import { t, type Key } from "../text/index.ts";
import { valueText } from "../views/threshold-text.ts";
import { Link } from "./Link.tsx";
import { SeverityMark } from "./Marks.tsx";
import { useHeld } from "./useHeld.ts";

const NOTICE_MS = 12_000;

export function Notice() {
  const violations = useStore(told);
  const { isHeld, handlers } = useHeld();
  useEffect(() => {
    if (violations.length === 0 || isHeld) return;
    const timer = setTimeout(() => told.set([]), NOTICE_MS);
    return () => clearTimeout(timer);
  }, [violations, isHeld]);
  const severity = worst(violations);
  const shown = violations.findLast((violation) => violation.severity === severity);
  const dismiss = () => {
    close();
    // the keyboard goes on in the view
    document.getElementById("main")?.focus();
  };
  return (
    <div className="notice" role="status" aria-live="polite" {...handlers}>
      {shown && (
        <p className={shown.severity}>
          <SeverityMark severity={shown.severity} />
          <span>
            <Link href={machinePath(shown.kind, shown.machine_id)}>{shown.machine_name}</Link> {shown.kind === "container" && t("machine.on", { host: shown.host_name })}
          </span>
          <Link href={`/violations/${shown.id}`} className="metric">
            {shown.metric} {shown.device}
          </Link>
          <span>
            <b>{valueText(shown, shown.opened_value)}</b> {t(`direction.${shown.direction}` as Key, { value: valueText(shown, shown.threshold_value) })}
          </span>
          {violations.length > 1 && <Link href="/violations">{t("alarm.more", { n: violations.length - 1 })}</Link>}
          <button onClick={dismiss} aria-label={t("explain.close")} title={t("explain.close")}>
            ×
          </button>
        </p>
      )}
    </div>
  );
}
