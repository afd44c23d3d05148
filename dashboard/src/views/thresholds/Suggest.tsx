// Values that would open no more than one wants.

import { useRef, useState } from "react";

import { api, Failure, type Suggestion } from "../../api/client.ts";
import { Scrolls } from "../../components/Scrolls.tsx";
import { durationText } from "../../format/quantity.ts";
import { catalog } from "../../state/catalog.ts";
import { t } from "../../text/index.ts";
import { exactText } from "../threshold-text.ts";
import type { Body, Draft } from "./draft.ts";
import { untestable } from "./past.ts";

const AT_MOST = 5;

interface Props {
  body: Body;
  from: string;
  to: string;
  onTake: (change: Partial<Draft>) => void;
}

type Candidate = Suggestion["candidates"][number];

export function Suggest({ body, from, to, onTake }: Props) {
  const [atMost, setAtMost] = useState(AT_MOST);
  const [state, setState] = useState<{ type: "idle" | "asking" } | { type: "failed"; reason: string } | { type: "there"; found: Suggestion }>({ type: "idle" });
  const controller = useRef<AbortController | null>(null);
  if (untestable(body) || body.condition !== "value" || catalog.get().get(body.metric)?.derived) return null;
  const ask = async () => {
    controller.current?.abort();
    const mine = (controller.current = new AbortController());
    setState({ type: "asking" });
    try {
      const found = await api.suggest({ threshold: { ...body, enabled: true }, from, to, at_most_per_week: atMost }, mine.signal);
      if (!mine.signal.aborted) setState({ type: "there", found });
    } catch (error) {
      if (mine.signal.aborted) return;
      setState({ type: "failed", reason: error instanceof Failure ? error.message : String(error) });
    }
  };
  const take = (candidate: Candidate) =>
    onTake({
      value: exactText(body, candidate.value),
      recovery: candidate.recovery_value === candidate.value ? "" : exactText(body, candidate.recovery_value),
      lasting: durationText(candidate.for_seconds),
    });
  return (
    <div className="suggest">
      <div className="filters">
        <button type="button" disabled={state.type === "asking"} onClick={() => void ask()}>
          {t(state.type === "asking" ? "suggest.asking" : "suggest.ask")}
        </button>
        <label>
          {t("suggest.atMost")} <input type="number" min="0" step="1" value={atMost} onChange={(event) => setAtMost(Math.max(0, event.target.valueAsNumber || 0))} />
        </label>
      </div>
      {state.type === "failed" && (
        <p className="problem" role="alert">
          {t("panel.error", { reason: state.reason })}
        </p>
      )}
      {state.type === "there" && <Candidates found={state.found} body={body} onTake={take} />}
    </div>
  );
}

function Candidates({ found, body, onTake }: { found: Suggestion; body: Body; onTake: (candidate: Candidate) => void }) {
  const isProposed = (candidate: Candidate) => JSON.stringify(candidate) === JSON.stringify(found.proposed);
  return (
    <>
      {!found.proposed && <p>{t("suggest.none", { n: found.allowed })}</p>}
      <Scrolls label={t("suggest.title")}>
        <table>
          <thead>
            <tr>
              <th>{t("field.value")}</th>
              <th>{t("field.recovery")}</th>
              <th>{t("field.for")}</th>
              <th className="right">{t("suggest.caught")}</th>
              <th className="right">{t("suggest.missed")}</th>
              <th />
            </tr>
          </thead>
          <tbody>
            {found.candidates.map((candidate) => (
              <tr key={`${candidate.value} ${candidate.recovery_value} ${candidate.for_seconds}`} className={isProposed(candidate) ? "proposed" : ""}>
                <td>{exactText(body, candidate.value)}</td>
                <td>{exactText(body, candidate.recovery_value)}</td>
                <td>{durationText(candidate.for_seconds)}</td>
                <td className="right">{t("suggest.sum", { n: candidate.caught.count, machines: candidate.caught.machines })}</td>
                <td className="right">{candidate.missed ? candidate.missed.count : "–"}</td>
                <td>
                  <button type="button" className={isProposed(candidate) ? "primary" : ""} onClick={() => onTake(candidate)}>
                    {t("suggest.take")}
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scrolls>
    </>
  );
}
