// The end of a form: saving it, what became of that, and going back to what is saved.

import { useState, type ReactNode } from "react";

import { choose, OPERATOR_CHARS, usePreferences } from "../state/preferences.ts";
import type { Saving } from "../state/saving.ts";
import { t } from "../text/index.ts";

interface Props {
  saving: Saving;
  isNew: boolean;
  isDirty: boolean;
  /** Somebody else changed it: that has to be decided first. */
  isOutdated: boolean;
  onDiscard: () => void;
  /** What one can do about what was refused. */
  wayOut?: ReactNode;
  children?: ReactNode;
}

export function FormFoot({ saving: { state, refused }, isNew, isDirty, isOutdated, onDiscard, wayOut, children }: Props) {
  return (
    <>
      {refused && (
        <p className="problem" role="alert">
          {t("form.failed", { reason: refused })} {wayOut}
        </p>
      )}
      <Signature />
      <div className="buttons sticky">
        <button className="primary" disabled={state === "saving" || isOutdated || (!isNew && !isDirty)}>
          {t(isNew ? "form.create" : "form.save")}
        </button>
        {isDirty && (
          <button type="button" onClick={onDiscard}>
            {t("form.discard")}
          </button>
        )}
        <span role="status" className="muted">
          {state === "saving" ? t("form.saving") : isDirty ? t("form.unsaved") : state === "saved" ? t("form.saved") : ""}
        </span>
        {children && <span className="more">{children}</span>}
      </div>
    </>
  );
}

/** Versions name who made them: whoever has no name yet is asked for it. */
function Signature() {
  const { operator } = usePreferences();
  // on while it is typed
  const [isAsked] = useState(operator === "");
  if (!isAsked) return null;
  return (
    <label className="signature">
      {t("form.signature")} <input value={operator} maxLength={OPERATOR_CHARS} autoComplete="name" placeholder={t("versions.somebody")} onChange={(event) => choose({ operator: event.target.value })} />
    </label>
  );
}
