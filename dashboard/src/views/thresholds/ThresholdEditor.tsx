// The editor of one rule: fields, preview, and saving without losing or overwriting anything.

import { useState } from "react";

import { api, type KnownThreshold, type Threshold } from "../../api/client.ts";
import { Confirm } from "../../components/Confirm.tsx";
import { FormFoot } from "../../components/FormFoot.tsx";
import { Link } from "../../components/Link.tsx";
import { SeverityMark } from "../../components/Marks.tsx";
import { navigate } from "../../router.ts";
import { unitOf } from "../../state/catalog.ts";
import { forget, useDraft } from "../../state/drafts.ts";
import { machineName } from "../../state/machines.ts";
import { useSaving } from "../../state/saving.ts";
import { useStore } from "../../state/store.ts";
import { open } from "../../state/violations.ts";
import { t } from "../../text/index.ts";
import { condition, scope } from "../threshold-text.ts";
import { Conflict, Since } from "./Conflict.tsx";
import { bodyOf, draftOf, exampleOf, onTopOf, type Draft } from "./draft.ts";
import { Preview } from "./Preview.tsx";
import { ThresholdForm } from "./ThresholdForm.tsx";
import { Versions } from "./Versions.tsx";

/** A draft knows which version it was made of, so that it never replaces another one. */
export type VersionedDraft = Draft & { version: number };

interface Props {
  /** `null`: it is to be created. */
  id: string | null;
  saved: VersionedDraft;
  rule: KnownThreshold | null;
  machineName: string | null;
  reload: () => void;
  stale?: string | null;
}

/** Fields of the form as the backend names them; problems of others stand above it. */
const FIELDS = ["metric", "device", "scope.labels", "scope.machine_id", "window_seconds", "value", "recovery_value", "for_seconds", "recovery_for_seconds", "note"];

export function ThresholdEditor({ id, saved, rule, machineName: knownName, reload, stale }: Props) {
  const key = `threshold ${id ?? `new ${location.search}`}`;
  const { draft, isDirty, edit, discard } = useDraft(key, saved);
  const [isDeleting, setDeleting] = useState(false);
  const openCount = [...useStore(open).all.values()].filter((violation) => violation.threshold_id === id).length;
  const { body, problems } = bodyOf(draft, unitOf);
  const saving = useSaving({ problems, fields: FIELDS, example: exampleOf(draft, unitOf), reload });
  const isOutdated = rule !== null && isDirty && draft.version !== rule.version;
  const change = (words: Partial<VersionedDraft>) => {
    saving.touch();
    edit(words);
  };
  const drop = () => {
    saving.touch();
    discard();
  };
  const save = async () => {
    if (!body) return;
    if (id === null) {
      const created = await api.createThreshold(body);
      forget(key);
      navigate(`/thresholds/${created.id}`, "replace");
    } else {
      await api.replaceThreshold({ id, version: draft.version }, body);
      forget(key);
      reload();
    }
  };
  const remove = () => {
    setDeleting(false);
    if (!rule) return;
    saving.attempt(async () => {
      await api.deleteThreshold(rule);
      forget(key);
      navigate("/thresholds");
    });
  };

  const keep = () =>
    saving.attempt(async () => {
      const versions = await api.thresholdVersions(id ?? "");
      const known = versions.find(({ version }) => version === draft.version)?.threshold;
      const base = known ? draftOf(known, unitOf) : saved;
      edit({ ...onTopOf<Draft>(saved, base, draft), version: saved.version });
    }, "idle");

  const nameOf = (machineId: string) => (machineId === rule?.scope.machine_id ? knownName : null) ?? machineName(draft.kind === "container" ? "container" : "host", machineId);
  const sentence = body && ({ ...body, id: "", version: 0 } as Threshold);
  return (
    <div className="view editor">
      <header className="editor-head">
        <Link href="/thresholds">‹ {t("nav.thresholds")}</Link>
        <h1>{sentence ? <Sentence rule={sentence} nameOf={nameOf} /> : t("thresholds.new")}</h1>
      </header>
      {stale && (
        <p className="stale" role="status">
          {t("panel.stale", { reason: stale })}
        </p>
      )}
      <div className="columns">
        <form className="panel" onSubmit={(event) => saving.submit(event, body && save)} noValidate aria-label={t("form.label")}>
          <ThresholdForm draft={draft} problems={saving.texts} isNew={id === null} nameOf={nameOf} onChange={change} />
          {isOutdated && (
            <Conflict onTake={drop} onKeep={keep}>
              <Since id={rule.id} version={draft.version} />
            </Conflict>
          )}
          <FormFoot saving={saving} isNew={id === null} isDirty={isDirty} isOutdated={isOutdated} onDiscard={drop} wayOut={saving.refused && <OtherRule detail={saving.refused} />}>
            {id !== null && (
              <>
                <Link className="button" href={`/thresholds/new?copy=${id}`}>
                  {t("form.copy")}
                </Link>
                <button type="button" className="danger" onClick={() => setDeleting(true)}>
                  {t("form.delete")}
                </button>
              </>
            )}
          </FormFoot>
        </form>
        <Preview id={id} version={rule?.version ?? 0} body={body} isChanged={isDirty} onTake={change} />
      </div>
      {id !== null && <Versions id={id} rule={rule} onSaved={reload} />}
      {isDeleting && (
        <Confirm
          question={t("thresholds.delete.question")}
          detail={openCount > 0 ? t("thresholds.delete.open", { n: openCount }) : t("thresholds.delete.detail")}
          action={t("form.delete")}
          onConfirm={remove}
          onCancel={() => setDeleting(false)}
        />
      )}
    </div>
  );
}

function Sentence({ rule, nameOf }: { rule: Threshold; nameOf: (machineId: string) => string | null }) {
  return (
    <>
      <SeverityMark severity={rule.severity} /> {rule.metric} {rule.device && <i>{rule.device}</i>} {condition(rule)} <span>{scope(rule, nameOf)}</span>
    </>
  );
}

/** The way to the rule that says the same already. */
function OtherRule({ detail }: { detail: string }) {
  const other = /^threshold (\d+) has the same/.exec(detail)?.[1];
  return other ? <Link href={`/thresholds/${other}`}>{t("form.other")}</Link> : null;
}
