// What is silenced or under maintenance: now, later, and until lately.

import { useEffect, useState } from "react";

import { api, type Silence } from "../../api/client.ts";
import { Confirm } from "../../components/Confirm.tsx";
import { Link } from "../../components/Link.tsx";
import { Panel } from "../../components/Panel.tsx";
import { dateAndTime, minute } from "../../format/times.ts";
import { now } from "../../live/live.ts";
import { useQuery } from "../../router.ts";
import { fleets } from "../../state/fleet.ts";
import { useMachines } from "../../state/machines.ts";
import { useResource } from "../../state/resource.ts";
import { reasonOf } from "../../state/saving.ts";
import { reload as reloadViolations } from "../../state/violations.ts";
import { t } from "../../text/index.ts";
import { RulesToolbar } from "../thresholds/RulesToolbar.tsx";
import { machineNameOf } from "../thresholds/steps.ts";
import { schedule, silenceScope, stateOf, type State } from "./words.ts";

const STATES: State[] = ["active", "coming", "expired"];
/** A moment after something begins or ends, so that the backend sees it too. */
const AFTER_MS = 500;
/** Timers hold no more. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export function SilencesView() {
  const resource = useResource("silences", (signal) => api.silences(signal));
  const [query] = useQuery();
  const search = query.get("q") ?? "";
  // hosts are silenced by their ids, and known by their names
  useMachines(true, "host");
  useNextChange(resource.data, resource.reload);
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (silence: Silence) => `${scopeOf(silence)}\n${silence.comment}\n${silence.created_by ?? ""}`.toLowerCase();
  const shown = (resource.data ?? []).filter((silence) => words.every((word) => text(silence).includes(word)));
  const changed = () => {
    resource.reload();
    void reloadViolations();
  };
  return (
    <div className="view rules">
      <RulesToolbar
        here="silences"
        count={resource.data?.length ?? null}
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
                <SilenceLine key={silence.id} silence={silence} state={state} onChanged={changed} />
              ))}
            </ul>
          </Panel>
        );
      })}
    </div>
  );
}

/** Read again when the next one begins or ends. */
function useNextChange(silences: readonly Silence[] | null, reload: () => void): void {
  useEffect(() => {
    const times = (silences ?? []).flatMap(({ active_until, next_start_at }) => [active_until, next_start_at]).map((at) => Date.parse(at ?? ""));
    const next = Math.min(...times.filter((at) => at > now()));
    if (!Number.isFinite(next)) return;
    const timer = setTimeout(reload, Math.min(TIMER_MS_MAX, next - now() + AFTER_MS));
    return () => clearTimeout(timer);
  }, [silences, reload]);
}

export function scopeOf(silence: Silence): string {
  const host = silence.scope.host_id ? (fleets.host.byHost.get(silence.scope.host_id)?.name ?? null) : null;
  return silenceScope(silence, { machine: machineNameOf(silence), host });
}

function SilenceLine({ silence, state, onChanged }: { silence: Silence; state: State; onChanged: () => void }) {
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
    onChanged();
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
