// Somebody else was faster: what they changed, and what to do about it. Nothing is overwritten.

import type { ReactNode } from "react";

import { api } from "../../api/client.ts";
import { dateAndTime } from "../../format/times.ts";
import { useResource } from "../../state/resource.ts";
import { t } from "../../text/index.ts";
import { steps } from "./steps.ts";

interface Props {
  onTake: () => void;
  /** To go on with what was typed, on top of theirs. */
  onKeep?: () => void;
  children?: ReactNode;
}

export function Conflict({ onTake, onKeep, children }: Props) {
  return (
    <div className="conflict" role="alert">
      <p>{t("conflict.title")}</p>
      {children}
      <div className="buttons">
        <button type="button" onClick={onTake}>
          {t(onKeep ? "conflict.take" : "conflict.reload")}
        </button>
        {onKeep && (
          <button type="button" onClick={onKeep}>
            {t("conflict.keep")}
          </button>
        )}
      </div>
    </div>
  );
}

/** Who changed a rule since the version that this page knows, and how. */
export function Since({ id, version: known }: { id: string; version: number }) {
  const versions = useResource(`versions ${id} after ${known}`, (signal) => api.thresholdVersions(id, signal));
  const newer = steps(versions.data ?? [], () => null).filter(({ version }) => version.version > known);
  return (
    <>
      {versions.error && <p>{t("panel.error", { reason: versions.error })}</p>}
      <ul>
        {newer.map(({ version, lines, type }) => (
          <li key={version.version}>
            <b>{version.changed_by ?? t("versions.somebody")}</b> {version.changed_at && dateAndTime(version.changed_at)}
            {type === "deleted" ? ` – ${t("versions.deleted")}` : lines.map((line) => <span key={line}>{line}</span>)}
          </li>
        ))}
      </ul>
    </>
  );
}
