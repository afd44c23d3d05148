// The way of a report: how fast, how far behind, what was lost at each hop, and what could not be stored.

import { useEffect, useState } from "react";

import { api, type Pipeline } from "../../api/client.ts";
import { Panel } from "../../components/Panel.tsx";
import { on, want } from "../../live/live.ts";
import { useResource } from "../../state/resource.ts";
import { t } from "../../text/index.ts";
import { CollectorsPanel } from "./CollectorsPanel.tsx";
import { ConsumersPanel } from "./ConsumersPanel.tsx";
import { DeadLettersPanel } from "./DeadLettersPanel.tsx";
import { LedgerPanel } from "./LedgerPanel.tsx";
import { Picture } from "./Picture.tsx";

export function PipelineView() {
  const first = useResource("pipeline", (signal) => api.pipeline(signal));
  const [newest, setNewest] = useState<Pipeline | null>(null);
  useEffect(() => {
    const ends = [want(["pipeline"]), on<Pipeline>("pipeline", setNewest)];
    return () => ends.forEach((end) => end());
  }, []);
  const pipeline = newest ?? first.data;
  return (
    <div className="view pipeline">
      <Panel title={t("pipeline.title")} resource={{ ...first, data: pipeline }}>
        {pipeline && <Picture pipeline={pipeline} />}
      </Panel>
      {pipeline && (
        <>
          <LedgerPanel pipeline={pipeline} />
          <DeadLettersPanel pipeline={pipeline} />
          <CollectorsPanel pipeline={pipeline} />
          <ConsumersPanel pipeline={pipeline} />
        </>
      )}
    </div>
  );
}
