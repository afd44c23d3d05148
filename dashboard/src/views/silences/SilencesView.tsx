// What is silenced or under maintenance: now, later, and until lately.

import { useState } from "react";

import { api, type Silence } from "../../api/client.ts";
import { Confirm } from "../../components/Confirm.tsx";
import { Link } from "../../components/Link.tsx";
import { Panel } from "../../components/Panel.tsx";
import { dateAndTime, minute } from "../../format/times.ts";
import { now } from "../../live/live.ts";
import { useQuery } from "../../router.ts";
import { useMachines } from "../../state/machines.ts";
import { reasonOf } from "../../state/saving.ts";
import { hostOf, reload, silences, stateOf, type State } from "../../state/silences.ts";
import { useStore } from "../../state/store.ts";
import { t } from "../../text/index.ts";
import { RulesToolbar } from "../thresholds/RulesToolbar.tsx";
import { machineNameOf } from "../thresholds/steps.ts";
import { schedule, silenceScope } from "./words.ts";

const STATES: State[] = ["active", "coming", "expired"];

export function SilencesView() {
  const { all, error } = useStore(silences);
  const [query] = useQuery();
  const search = query.get("q") ?? "";
  // hosts are silenced by their ids, and known by their names
  useMachines(true, "host");
  const resource = { data: all, error, loading: all === null && error === null, reload };
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (silence: Silence) => `${scopeOf(silence)}\n${silence.comment}\n${silence.created_by ?? ""}`.toLowerCase();
  const shown = (all ?? []).filter((silence) => words.every((word) => text(silence).includes(word)));
  return (
    <div className="view rules">
      <RulesToolbar
        here="silences"
        count={all?.length ?? null}
        search={search}
        placeholder={t("silences.search")}
        action={
          <Link className="button primary" href="/silences/new">
            {t("silences.new")}
          </Link>
        }
      >
        {null}
      </RulesToolbar>
      {STATES.map((state) => {
        const of = shown.filter((silence) => stateOf(silence, now()) === state);
        return (
          <Panel key={state} title={t(`silences.${state}`)} resource={resource} isEmpty={of.length === 0} empty={t(`silences.${state}.none`)} aside={<span className="count">{of.length}</span>}>
            <ul className={`silences ${state}`}>
              {of.map((silence) => (
                <SilenceLine key={silence.id} silence={silence} state={state} />
              ))}
            </ul>
          </Panel>
        );
      })}
    </div>
  );
}

export function scopeOf(silence: Silence): string {
  return silenceScope(silence, { machine: machineNameOf(silence), host: silence.scope.host_id ? hostOf(silence.scope.host_id) : null });
}

function SilenceLine({ silence, state }: { silence: Silence; state: State }) {
  const [isEnding, setEnding] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const end = async () => {
    setEnding(false);
    try {
      if (state === "coming") await api.deleteSilence(silence);
      else await api.replaceSilence(silence, { ...silence, ends_at: new Date(now()).toISOString() });
    } catch (error) {
      setFailure(reasonOf(error));
    }
    reload();
  };
  const when = state === "active" && silence.active_until ? t("silences.activeUntil", { time: minute(silence.active_until) }) : state === "coming" && silence.next_start_at ? t("silences.begins", { time: minute(silence.next_start_at) }) : null;
  return (
    <li className={`silence-line ${silence.kind}`}>
      <span className="mark">{t(`silences.kind.${silence.kind}`)}</span>
      <Link className="what" href={`/silences/${silence.id}`}>
        <b>{scopeOf(silence)}</b>
      </Link>
      <span className="when">
        {when && <b>{when}</b>} <span className="muted">{schedule(silence, state)}</span>
      </span>
      <span className="comment">
        {silence.comment}{" "}
        <small className="muted" title={dateAndTime(silence.created_at)}>
          {silence.created_by ?? t("versions.somebody")}, {minute(silence.created_at)}
        </small>
      </span>
      {state !== "expired" && (
        <button type="button" onClick={() => setEnding(true)}>
          {t(state === "coming" ? "form.delete" : "silences.end")}
        </button>
      )}
      {failure && (
        <p className="problem" role="alert">
          {t("form.failed", { reason: failure })}
        </p>
      )}
      {isEnding && (
        <Confirm
          question={t(state === "coming" ? "silences.delete.question" : "silences.end.question")}
          detail={silence.cron ? t("silences.end.recurring") : null}
          action={t(state === "coming" ? "form.delete" : "silences.end")}
          onConfirm={() => void end()}
          onCancel={() => setEnding(false)}
        />
      )}
    </li>
  );
}
