// All that a rule was: who changed what, when, and how to get it back.

import { useState } from "react";

import { api, type KnownThreshold, type Threshold } from "../../api/client.ts";
import { Panel } from "../../components/Panel.tsx";
import { dateAndTime } from "../../format/times.ts";
import { navigate } from "../../router.ts";
import { useResource } from "../../state/resource.ts";
import { isConflict, reasonOf } from "../../state/saving.ts";
import { t } from "../../text/index.ts";
import { condition, scope } from "../threshold-text.ts";
import { machineNameOf, steps } from "./steps.ts";

interface Props {
  id: string;
  /** As it is; `null`: it was deleted. */
  rule: KnownThreshold | null;
  onSaved: () => void;
}

export function Versions({ id, rule, onSaved }: Props) {
  const resource = useResource(`versions ${id} ${rule?.version ?? "deleted"}`, (signal) => api.thresholdVersions(id, signal));
  const [failure, setFailure] = useState<string | null>(null);
  const name = rule && machineNameOf(rule);
  const all = steps(resource.data ?? [], (machineId) => (machineId === rule?.scope.machine_id ? name : null));
  const restore = async (old: Threshold) => {
    setFailure(null);
    try {
      // what it was, as a new version or, of a rule that is gone, as a new rule
      const body = { ...old, id: null, version: null };
      if (rule) await api.replaceThreshold(rule, body);
      else return navigate(`/thresholds/${(await api.createThreshold(body)).id}`);
    } catch (error) {
      setFailure(isConflict(error) ? t("conflict.short") : reasonOf(error));
    }
    onSaved();
  };
  return (
    <Panel title={t("versions.title")} resource={resource} isEmpty={all.length === 0}>
      {failure && (
        <p className="problem" role="alert">
          {t("form.failed", { reason: failure })}
        </p>
      )}
      <ol className="versions">
        {all.map(({ version, lines, type }, index) => {
          const old = version.threshold as Threshold | null | undefined;
          return (
            <li key={version.version}>
              <span className="number muted">{version.version}</span>
              <span>
                <b>{version.changed_by ?? t(version.changed_at ? "versions.somebody" : "versions.program")}</b> <span className="muted">{version.changed_at ? dateAndTime(version.changed_at) : ""}</span>
              </span>
              <span className="what">
                {type === "deleted" && t("versions.deleted")}
                {type === "created" && old && `${t("versions.created")}: ${condition(old)} ${scope(old)}`}
                {type === "changed" && (lines.length > 0 ? lines.map((line) => <span key={line}>{line}</span>) : t("versions.same"))}
              </span>
              {old && (index > 0 || !rule) && (
                <button type="button" onClick={() => void restore(old)}>
                  {t("versions.restore", { n: version.version })}
                </button>
              )}
            </li>
          );
        })}
      </ol>
    </Panel>
  );
}
