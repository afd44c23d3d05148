// One violation: what happened, by which rule, why it opened and closed, and who cares for it. Beside the list, and a link of its own.

import { useCallback, useEffect, useRef, useState, type KeyboardEvent } from "react";

import { api, Failure, type Explanation, type Violation } from "../../api/client.ts";
import { Link } from "../../components/Link.tsx";
import { SeverityMark } from "../../components/Marks.tsx";
import { PanelBody } from "../../components/Panel.tsx";
import { useNow } from "../../components/useNow.ts";
import { dateAndTime, minute } from "../../format/times.ts";
import { on } from "../../live/live.ts";
import { useResource } from "../../state/resource.ts";
import { t, type Key } from "../../text/index.ts";
import { newSilenceLink, newThresholdLink } from "../links.ts";
import { valueText } from "../threshold-text.ts";
import { AcknowledgeForm, type Intent } from "./AcknowledgeForm.tsx";
import { around, lasted, reasonText } from "./columns.tsx";
import { RuleThen, Verdict } from "./RuleThen.tsx";
import { SampleCharts } from "./SampleChart.tsx";
import { Steps } from "./Steps.tsx";

export function ViolationPanel({ id, onClose }: { id: string; onClose: () => void }) {
  const resource = useResource(`violation ${id}`, (signal) => read(id, signal));
  const box = useRef<HTMLElement>(null);
  const again = resource.reload;
  useEffect(() => box.current?.focus(), []);
  useEffect(() => {
    const look = (violation: Violation) => violation.id === id && again();
    const ends = ["violation.closed", "violation.acknowledged", "violation.silenced", "violation.opened"].map((name) => on<Violation>(name, look));
    return () => ends.forEach((end) => end());
  }, [id, again]);
  const press = (event: KeyboardEvent) => event.key === "Escape" && onClose();
  return (
    <aside className="violation-panel" ref={box} tabIndex={-1} aria-label={t("explain.title")} aria-busy={resource.loading} onKeyDown={press}>
      <button className="close" onClick={onClose} aria-label={t("explain.close")} title={t("explain.close")}>
        ×
      </button>
      {resource.error && resource.data !== null && (
        <p className="stale" role="status">
          {t("panel.stale", { reason: resource.error })} <button onClick={again}>{t("panel.retry")}</button>
        </p>
      )}
      <PanelBody resource={resource} isEmpty={resource.data === "unknown"} empty={t("explain.unknown", { id })}>
        {resource.data && resource.data !== "unknown" && <Told explanation={resource.data} />}
      </PanelBody>
    </aside>
  );
}

async function read(id: string, signal: AbortSignal): Promise<Explanation | "unknown"> {
  try {
    return await api.explain(id, signal);
  } catch (error) {
    if (error instanceof Failure && error.status === 404) return "unknown";
    throw error;
  }
}

function Told({ explanation }: { explanation: Explanation }) {
  const { violation } = explanation;
  const now = useNow();
  return (
    <>
      <header>
        <h2>
          <SeverityMark severity={violation.severity} /> {violation.metric} {violation.device && <b>{violation.device}</b>}
        </h2>
        <p>
          <Link href={around(violation, now)}>{violation.machine_name}</Link> {violation.kind === "container" && <span className="muted">{t("machine.on", { host: violation.host_name })}</span>}
        </p>
      </header>
      <dl className="told">
        <Fact name={t("violations.opened")}>
          {dateAndTime(violation.opened_at)} <b>{valueText(violation, violation.opened_value)}</b> <small>{t(`direction.${violation.direction}` as Key, { value: valueText(violation, violation.threshold_value) })}</small>
        </Fact>
        <Fact name={t("explain.worst")}>
          <b>{valueText(violation, violation.peak_value)}</b>
        </Fact>
        <Fact name={t("explain.closed")}>
          {violation.closed_at ? (
            <>
              {dateAndTime(violation.closed_at)} <b>{valueText(violation, violation.closed_value)}</b> <small>{reasonText(violation.close_reason)}</small>
            </>
          ) : (
            <b className="bad">{t("violations.stillOpen")}</b>
          )}
        </Fact>
        <Fact name={t("violations.lasted")}>{lasted(violation, now)}</Fact>
        {violation.cause && <Fact name={t("explain.cause")}>{violation.cause}</Fact>}
        {violation.silenced && <Fact name={t("filter.state.silenced")}>{t("violations.silencedUntil", { time: minute(violation.silenced.until) })}</Fact>}
      </dl>
      <Attention violation={violation} />
      <section aria-label={t("explain.rule")}>
        <h3>{t("explain.rule")}</h3>
        <RuleThen explanation={explanation} />
      </section>
      <section aria-label={t("explain.why")}>
        <h3>{t("explain.why")}</h3>
        <Verdict explanation={explanation} />
        {explanation.samples.t.length > 0 ? <SampleCharts explanation={explanation} /> : <p className="muted">{t("explain.noSamples")}</p>}
        <Steps explanation={explanation} />
      </section>
      <p className="links">
        <Link href={around(violation, now)}>{t("explain.machineThen")}</Link>
        <Link href={`/violations?range=30d&machine_id=${violation.machine_id}`}>{t("explain.ofMachine")}</Link>
        <Link href={`/violations?range=30d&threshold_id=${violation.threshold_id}`}>{t("explain.ofRule")}</Link>
        <Link href={newSilenceLink({ machineId: violation.machine_id, metric: violation.metric })}>{t("explain.silence")}</Link>
        {violation.kind !== "pipeline" && (
          <Link href={newThresholdLink({ metric: violation.metric, machineId: violation.machine_id, device: violation.device ?? null })}>{t("explain.ownRule")}</Link>
        )}
      </p>
    </>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Who saw it, and the way to say so. */
function Attention({ violation }: { violation: Violation }) {
  const [intent, setIntent] = useState<Intent | null>(null);
  const [comment, setComment] = useState("");
  const button = useRef<HTMLButtonElement>(null);
  const done = useCallback(() => {
    setIntent(null);
    button.current?.focus();
  }, []);
  const known = violation.acknowledged;
  const type = known ? "takeBack" : "acknowledge";
  return (
    <div className="attention">
      {known ? (
        <p>
          {t("violations.acknowledged", { by: known.by ?? "–" })} <span className="muted">{dateAndTime(known.at)}</span>
          {known.comment && <span className="comment">{known.comment}</span>}
        </p>
      ) : (
        <p className="muted">{t("acknowledge.nobody")}</p>
      )}
      <button ref={button} aria-expanded={intent !== null} onClick={() => setIntent({ type, at: "panel", violations: [violation] })}>
        {t(known ? "acknowledge.takeBack" : "acknowledge")}
      </button>
      {intent && <AcknowledgeForm intent={intent} comment={comment} onComment={setComment} onDone={done} />}
    </div>
  );
}
