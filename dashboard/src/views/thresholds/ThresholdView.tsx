// One rule, or one that is to be: its editor, what it would have opened, and all that it was.

import { useMemo } from "react";

import { api, Failure, type KnownThreshold, type ThresholdVersion } from "../../api/client.ts";
import { Link } from "../../components/Link.tsx";
import { Panel } from "../../components/Panel.tsx";
import { useQuery } from "../../router.ts";
import { catalog, unitOf } from "../../state/catalog.ts";
import { useResource } from "../../state/resource.ts";
import { useStore } from "../../state/store.ts";
import { onThresholds } from "../../state/versions.ts";
import { t } from "../../text/index.ts";
import { machineNameOf } from "./steps.ts";
import { draftOf, draftOfQuery } from "./draft.ts";
import { ThresholdEditor } from "./ThresholdEditor.tsx";
import { Versions } from "./Versions.tsx";

export function ThresholdView({ id }: { id: string }) {
  return id === "new" ? <NewThreshold /> : <KnownThreshold id={id} />;
}

/** Values are read and written in units, which the catalog has. */
function useCatalog(): boolean {
  return useStore(catalog).size > 0;
}

function NewThreshold() {
  const [query] = useQuery();
  const copied = query.get("copy");
  const asked = query.toString();
  const hasUnits = useCatalog();
  const resource = useResource(`copy ${copied ?? ""}`, async (signal) => (copied ? api.threshold(copied, signal) : null));
  const origin = resource.data;
  const saved = useMemo(() => {
    if (!hasUnits || (copied && !origin)) return null;
    return { version: 0, ...(origin ? draftOf(origin, unitOf) : draftOfQuery(new URLSearchParams(asked), unitOf, kindOf)) };
  }, [copied, origin, hasUnits, asked]);
  if (!saved) {
    return (
      <div className="view">
        <Panel title={t("thresholds.new")} resource={{ ...resource, data: null }}>
          {null}
        </Panel>
      </div>
    );
  }
  return <ThresholdEditor key={asked} id={null} saved={saved} rule={null} machineName={null} reload={resource.reload} />;
}

function kindOf(metric: string): "host" | "container" | "pipeline" | null {
  const found = catalog.get().get(metric);
  if (!found) return null;
  return found.of === "container" || found.of === "pipeline" ? found.of : "host";
}

type Found = { rule: KnownThreshold } | { rule: null; versions: ThresholdVersion[] };

/** The rule; of one that was deleted what it was. */
async function read(id: string, signal: AbortSignal): Promise<Found> {
  try {
    return { rule: await api.threshold(id, signal) };
  } catch (error) {
    if (!(error instanceof Failure) || error.status !== 404) throw error;
    const versions = await api.thresholdVersions(id, signal).catch((reason: unknown) => {
      if (reason instanceof Failure && reason.status === 404) return [];
      throw reason;
    });
    return { rule: null, versions };
  }
}

function KnownThreshold({ id }: { id: string }) {
  const hasUnits = useCatalog();
  const resource = useResource(`threshold ${id}`, (signal) => read(id, signal), onThresholds);
  const rule = resource.data?.rule ?? null;
  const saved = useMemo(() => (rule && hasUnits ? { version: rule.version, ...draftOf(rule, unitOf) } : null), [rule, hasUnits]);
  if (rule && saved) {
    return <ThresholdEditor id={id} saved={saved} rule={rule} machineName={machineNameOf(rule)} reload={resource.reload} stale={resource.error} />;
  }
  if (resource.data && !resource.data.rule) {
    const { versions } = resource.data;
    return (
      <div className="view">
        <div className="nothing">
          <p>{t(versions.length > 0 ? "thresholds.deleted" : "thresholds.unknown")}</p>
          <Link href="/thresholds">{t("thresholds.back")}</Link>
        </div>
        {versions.length > 0 && <Versions id={id} rule={null} onSaved={resource.reload} />}
      </div>
    );
  }
  return (
    <div className="view">
      <Panel title={t("nav.thresholds")} resource={{ ...resource, data: null }}>
        {null}
      </Panel>
    </div>
  );
}
