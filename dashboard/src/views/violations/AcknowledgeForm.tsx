// Says that somebody saw one violation or several, or takes that back.

import { useEffect, useRef, useState, type FormEvent } from "react";

import { api, type Violation } from "../../api/client.ts";
import { choose, OPERATOR_CHARS, usePreferences } from "../../state/preferences.ts";
import { take } from "../../state/violations.ts";
import { t } from "../../text/index.ts";
import { changeEach, TOGETHER_MAX } from "./acknowledging.ts";

/** Characters of a comment, as the backend takes them. */
const COMMENT_CHARS = 1_000;

export interface Intent {
  type: "acknowledge" | "takeBack";
  /** Row or group at which it is asked for. */
  at: string;
  violations: readonly Violation[];
}

interface Props {
  intent: Intent;
  /** Kept by who shows the form: its row may be scrolled out of sight. */
  comment: string;
  onComment: (comment: string) => void;
  onDone: () => void;
}

export function AcknowledgeForm({ intent, comment, onComment, onDone }: Props) {
  const { operator } = usePreferences();
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const form = useRef<HTMLFormElement>(null);
  const isBack = intent.type === "takeBack";
  const ids = intent.violations.slice(0, TOGETHER_MAX).map(({ id }) => id);
  const first = intent.violations[0];

  useEffect(() => {
    form.current?.querySelector<HTMLElement>("[data-first]")?.focus();
  }, []);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    const { done, failed } = await changeEach(ids, (id) => (isBack ? api.unacknowledge(id) : api.acknowledge(id, comment.trim())), take);
    setBusy(false);
    if (failed.length === 0) return onDone();
    const reason = failed[0]?.reason ?? "";
    setError(ids.length === 1 ? t("acknowledge.failed", { reason }) : t("acknowledge.failed.some", { done, failed: failed.length, reason }));
  };

  return (
    <form
      className="acknowledge"
      ref={form}
      aria-label={t(isBack ? "acknowledge.takeBack" : "acknowledge")}
      onSubmit={(event) => void submit(event)}
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        onDone();
      }}
    >
      {intent.violations.length > 1 && <p>{t("acknowledge.many", { n: ids.length })}</p>}
      {isBack ? (
        <p>{t("acknowledge.takeBack.question", { by: first?.acknowledged?.by ?? "–" })}</p>
      ) : (
        <>
          <label>
            {t("acknowledge.comment")}
            <textarea data-first="" rows={2} maxLength={COMMENT_CHARS} value={comment} onChange={(event) => onComment(event.target.value)} />
          </label>
          <label>
            {t("settings.operator")}
            <input value={operator} maxLength={OPERATOR_CHARS} autoComplete="name" onChange={(event) => choose({ operator: event.target.value })} />
          </label>
        </>
      )}
      {error && (
        <p className="bad" role="alert">
          {error}
        </p>
      )}
      <div className="buttons">
        <button type="button" onClick={onDone}>
          {t("form.cancel")}
        </button>
        <button className="primary" disabled={isBusy} {...(isBack && { "data-first": "" })}>
          {t(isBack ? "acknowledge.takeBack" : "acknowledge")}
        </button>
      </div>
    </form>
  );
}
