// What a rule as it stands in the editor would have opened, looked up in real history.

import { useState } from "react";

import { api, type Backtest } from "../../api/client.ts";
import { Panel } from "../../components/Panel.tsx";
import { duration } from "../../format/numbers.ts";
import { minute } from "../../format/times.ts";
import { now } from "../../live/live.ts";
import { useAsked } from "../../state/asked.ts";
import { t } from "../../text/index.ts";
import type { Body, Draft } from "./draft.ts";
import { beginningOf, untestable } from "./past.ts";
import { PreviewChart } from "./PreviewChart.tsx";
import { PreviewMachines, Stays } from "./PreviewMachines.tsx";
import { Suggest } from "./Suggest.tsx";

const SPANS = { "24h": 86_400_000, "7d": 604_800_000, "30d": 2_592_000_000 } as const;
type Span = keyof typeof SPANS;
/** History that begins so much later than it was asked for is worth a word. */
const SHORT_MS = 3_600_000;

interface Props {
  id: string | null;
  /** Of the saved rule. */
  version: number;
  /** `null`: something is missing or wrong. */
  body: Body | null;
  isChanged: boolean;
  onTake: (change: Partial<Draft>) => void;
}

export function Preview({ id, version, body, isChanged, onTake }: Props) {
  const [asked, setAsked] = useState<{ span: Span; to: number }>(() => ({ span: "7d", to: now() }));
  const [machineId, setMachineId] = useState<string | null>(null);
  const reason = body && untestable(body);
  const from = new Date(asked.to - SPANS[asked.span]).toISOString();
  const to = new Date(asked.to).toISOString();
  // a rule is tried as if it were in force, whatever else is said of it
  const question = body && !reason ? JSON.stringify({ threshold: { ...body, enabled: true, note: "", id }, from, to }) : null;
  const draft = useAsked(question, (signal) => api.backtest(JSON.parse(question ?? "") as Parameters<typeof api.backtest>[0], signal));
  // one after the other
  const savedKey = id !== null && isChanged && draft.data ? JSON.stringify({ threshold_id: id, from, to, version }) : null;
  const saved = useAsked(savedKey, (signal) => api.backtest({ threshold_id: id, from, to }, signal));

  const result = draft.data;
  const isOld = !draft.isCurrent;
  const chosen = result?.by_machine.find((machine) => machine.machine_id === machineId) ?? result?.by_machine[0];
  const again = () => setAsked({ ...asked, to: now() });
  return (
    <Panel
      title={t("preview.title")}
      className="preview"
      aside={
        <div className="range-choice" role="group" aria-label={t("range.label")}>
          {(Object.keys(SPANS) as Span[]).map((span) => (
            <button key={span} type="button" aria-pressed={span === asked.span} onClick={() => setAsked({ span, to: now() })}>
              {t(`preview.${span}`)}
            </button>
          ))}
        </div>
      }
    >
      {reason ? (
        <p className="nothing">{t(reason)}</p>
      ) : (
        <>
          <p className="working muted" role="status">
            {draft.state === "queued" ? t("preview.queued") : draft.state === "asking" ? t("preview.asking") : !body ? t("preview.incomplete") : ""}
          </p>
          {draft.error && (
            <div className="problem" role="alert">
              {t("panel.error", { reason: draft.error })}{" "}
              <button type="button" onClick={asked.span === "24h" ? again : () => setAsked({ span: "24h", to: now() })}>
                {t(asked.span === "24h" ? "panel.retry" : "preview.shorter")}
              </button>
            </div>
          )}
          {result ? (
            <div className={isOld ? "answer old" : "answer"}>
              <Summary result={result} from={asked.to - SPANS[asked.span]} span={asked.span} saved={isChanged ? saved.data : null} />
              <PreviewMachines result={result} chosen={chosen?.machine_id ?? null} severity={body?.severity ?? "warning"} onChoose={setMachineId} />
              {body && <PreviewChart body={body} machine={chosen ?? null} from={beginningOf(result)} to={Date.parse(result.evaluated_to)} />}
              {body && <Stays result={result} body={body} />}
            </div>
          ) : (
            draft.state !== "idle" && <div className="nothing loading" />
          )}
        </>
      )}
      {body && <Suggest body={body} from={from} to={to} onTake={onTake} />}
    </Panel>
  );
}

interface SummaryProps {
  result: Backtest;
  /** Where it was to begin, Unix ms. */
  from: number;
  span: Span;
  saved: Backtest | null;
}

function Summary({ result, from, span, saved }: SummaryProps) {
  const begun = beginningOf(result);
  const isShort = begun > from + SHORT_MS;
  const words = { n: result.count, machines: result.machines, all: result.machines_in_scope, span: t(`preview.${span}`) };
  return (
    <div className="summary">
      <p className="outcome" role="status">
        {t(result.machines_in_scope === 0 ? "preview.nobody" : result.count === 0 ? "preview.never" : "preview.would", words)}
      </p>
      {saved && <p className="delta">{t("preview.compared", { before: saved.count, after: result.count })}</p>}
      {result.count > 0 && <p className="muted">{t("preview.durations", { total: duration(result.total_duration_ms / 1_000), longest: duration((result.longest_ms ?? 0) / 1_000) })}</p>}
      {isShort && <p className="muted">{t("preview.short", { time: minute(begun) })}</p>}
      {result.reports === 0 && <p className="muted">{t("preview.noReports")}</p>}
    </div>
  );
}
