// The form of one silence or maintenance.

import { useMemo } from "react";

import { api, Failure, type Silence } from "../../api/client.ts";
import { FormFoot } from "../../components/FormFoot.tsx";
import { Link } from "../../components/Link.tsx";
import { Panel } from "../../components/Panel.tsx";
import { zone } from "../../format/times.ts";
import { navigate, useQuery } from "../../router.ts";
import { forget, useDraft } from "../../state/drafts.ts";
import { useResource } from "../../state/resource.ts";
import { useSaving } from "../../state/saving.ts";
import { reload as reloadSilences } from "../../state/silences.ts";
import { onSilences } from "../../state/versions.ts";
import { t } from "../../text/index.ts";
import { Conflict } from "../thresholds/Conflict.tsx";
import { bodyOf, draftOf, draftOfQuery, type Draft } from "./draft.ts";
import { SilenceForm } from "./SilenceForm.tsx";
import { scopeOf } from "./SilencesView.tsx";

export function SilenceView({ id }: { id: string }) {
  const [query] = useQuery();
  const isNew = id === "new";
  const resource = useResource(`silence ${id}`, async (signal) => (isNew ? null : read(id, signal)), onSilences);
  const known = resource.data === "unknown" ? null : resource.data;
  const asked = query.toString();
  const saved = useMemo(() => (known ? draftOf(known, zone()) : draftOfQuery(new URLSearchParams(asked), zone())), [known, asked]);
  if (resource.data === "unknown") {
    return (
      <div className="view">
        <div className="nothing">
          <p>{t("silences.unknown")}</p>
          <Link href="/silences">{t("silences.back")}</Link>
        </div>
      </div>
    );
  }
  if (!isNew && !known) {
    return (
      <div className="view">
        <Panel title={t("nav.silences")} resource={resource}>
          {null}
        </Panel>
      </div>
    );
  }
  return <SilenceEditor silence={known} saved={saved} reload={resource.reload} />;
}

async function read(id: string, signal: AbortSignal): Promise<Silence | "unknown"> {
  try {
    return await api.silence(id, signal);
  } catch (error) {
    if (error instanceof Failure && error.status === 404) return "unknown";
    throw error;
  }
}

/** Fields of the form as the backend names them; problems of others stand above its buttons. */
const FIELDS = ["scope", "scope.labels", "scope.metric", "starts_at", "ends_at", "cron", "duration_seconds", "tz", "comment"];

function SilenceEditor({ silence, saved, reload }: { silence: Silence | null; saved: Draft; reload: () => void }) {
  const key = `silence ${silence?.id ?? `new ${location.search}`}`;
  const { draft, isDirty, edit, discard } = useDraft(key, saved);
  const { body, problems } = bodyOf(draft, silence);
  const saving = useSaving({ problems, fields: FIELDS, reload });
  const isOutdated = silence !== null && isDirty && draft.version !== silence.version;
  const save = async () => {
    if (!body) return;
    if (silence) await api.replaceSilence({ id: silence.id, version: draft.version }, body);
    else await api.createSilence(body);
    forget(key);
    reloadSilences();
    navigate("/silences");
  };
  const change = (words: Partial<Draft>) => {
    saving.touch();
    edit(words);
  };
  const drop = () => {
    saving.touch();
    discard();
  };
  return (
    <div className="view editor">
      <header className="editor-head">
        <Link href="/silences">‹ {t("nav.silences")}</Link>
        <h1>{silence ? scopeOf(silence) : t("silences.new")}</h1>
      </header>
      <form className="panel" onSubmit={(event) => saving.submit(event, body && save)} noValidate aria-label={t("form.label")}>
        <SilenceForm draft={draft} problems={saving.texts} machineName={silence?.machine_name ?? null} onChange={change} />
        {isOutdated && <Conflict onTake={drop} onKeep={() => change({ version: silence.version })} />}
        <FormFoot saving={saving} isNew={silence === null} isDirty={isDirty} isOutdated={isOutdated} onDiscard={drop} />
      </form>
    </div>
  );
}
