// All rules, by metric and by what they are for.

import { useMemo, useState } from "react";

import { api, type KnownThreshold } from "../../api/client.ts";
import { Link } from "../../components/Link.tsx";
import { SeverityMark } from "../../components/Marks.tsx";
import { Panel } from "../../components/Panel.tsx";
import { dateAndTime, minute } from "../../format/times.ts";
import { useQuery } from "../../router.ts";
import { catalog } from "../../state/catalog.ts";
import { useResource } from "../../state/resource.ts";
import { isConflict, reasonOf } from "../../state/saving.ts";
import { useStore } from "../../state/store.ts";
import { onThresholds } from "../../state/versions.ts";
import { open } from "../../state/violations.ts";
import { t } from "../../text/index.ts";
import { newThresholdLink } from "../links.ts";
import { condition, recovery, scope } from "../threshold-text.ts";
import { Conflict, Since } from "./Conflict.tsx";
import { machineNameOf } from "./steps.ts";
import { arrange, choiceOf, isOf, ONLY, SEVERITIES } from "./order.ts";
import { RulesToolbar } from "./RulesToolbar.tsx";

const KINDS = ["host", "container", "pipeline"] as const;

export function ThresholdsView() {
  const resource = useResource("thresholds", (signal) => api.thresholds(signal), onThresholds);
  const rules = useMemo(() => resource.data ?? [], [resource.data]);
  const { all } = useStore(open);
  const counts = useMemo(() => {
    const found = new Map<string, number>();
    for (const { threshold_id } of all.values()) found.set(threshold_id, (found.get(threshold_id) ?? 0) + 1);
    return found;
  }, [all]);
  const [query, change] = useQuery();
  const choice = choiceOf(query);
  const ask = {
    text: (rule: KnownThreshold) => [rule.metric, rule.device, scope(rule, () => machineNameOf(rule)), rule.note, rule.changed_by, condition(rule)].join("\n"),
    isViolated: (rule: KnownThreshold) => counts.has(rule.id),
    isOwn: (rule: KnownThreshold) => !isBuiltIn(rule),
  };
  const groups = arrange(rules, choice, ask);
  const shown = groups.reduce((sum, group) => sum + group.rules.length, 0);
  const toggle = (severity: string) => {
    const others = choice.severities.filter((other) => other !== severity);
    change({ severity: (others.length < choice.severities.length ? others : [...others, severity]).join(",") }, "replace");
  };
  return (
    <div className="view rules">
      <RulesToolbar here="thresholds" count={resource.data ? rules.length : null} search={choice.search} placeholder={t("thresholds.search")} action={<NewLink />}>
        <div className="chips">
          {SEVERITIES.map((severity) => (
            <button key={severity} className="chip" aria-pressed={choice.severities.includes(severity)} onClick={() => toggle(severity)}>
              {rules.filter((rule) => rule.severity === severity).length} {t(`severity.${severity}`)}
            </button>
          ))}
          {ONLY.map((only) => {
            const count = rules.filter((rule) => isOf(only, rule, ask)).length;
            return (
              <button key={only} className="chip" aria-pressed={choice.only === only} disabled={count === 0 && choice.only !== only} onClick={() => change({ only: choice.only === only ? null : only }, "replace")}>
                {count} {t(`thresholds.only.${only}`)}
              </button>
            );
          })}
        </div>
        <label className="group-by">
          {t("thresholds.kind")}
          <select value={choice.kind} onChange={(event) => change({ kind: event.target.value }, "replace")}>
            <option value="">{t("violations.all")}</option>
            {KINDS.map((kind) => (
              <option key={kind} value={kind}>
                {t(`thresholds.scope.${kind}`)}
              </option>
            ))}
          </select>
        </label>
      </RulesToolbar>
      <Panel title={t("nav.thresholds")} aside={<span className="count">{shown}</span>} resource={resource} isEmpty={shown === 0} empty={t(rules.length === 0 ? "thresholds.none" : "thresholds.noneMatches")}>
        {groups.map(({ metric, rules }) => (
          <MetricGroup key={metric} metric={metric}>
            {rules.map((rule) => (
              <RuleLine key={rule.id} rule={rule} openCount={counts.get(rule.id) ?? 0} reload={resource.reload} />
            ))}
          </MetricGroup>
        ))}
      </Panel>
    </div>
  );
}

/** Nobody has touched it since it came. */
const isBuiltIn = (rule: KnownThreshold) => rule.version === 1 && rule.changed_at === null;

function NewLink() {
  return (
    <Link className="button primary" href="/thresholds/new">
      {t("thresholds.new")}
    </Link>
  );
}

function MetricGroup({ metric, children }: { metric: string; children: React.ReactNode }) {
  const found = useStore(catalog).get(metric);
  return (
    <section className="metric-group" aria-label={metric}>
      <h3>
        {metric} <small>{found?.description}</small>
        <Link href={newThresholdLink({ metric })} title={t("thresholds.new")} aria-label={`${t("thresholds.new")}: ${metric}`}>
          +
        </Link>
      </h3>
      <ul>{children}</ul>
    </section>
  );
}

function RuleLine({ rule, openCount, reload }: { rule: KnownThreshold; openCount: number; reload: () => void }) {
  const [state, setState] = useState<{ type: "idle" | "saving" | "conflict" } | { type: "failed"; reason: string }>({ type: "idle" });
  const words = `${scope(rule, () => machineNameOf(rule))} ${rule.device ?? ""}`.trim();
  const closes = rule.effect === "open" ? recovery(rule) : null;
  const flip = async () => {
    setState({ type: "saving" });
    try {
      await api.replaceThreshold(rule, { ...rule, enabled: !rule.enabled });
      reload();
      setState({ type: "idle" });
    } catch (error) {
      setState(isConflict(error) ? { type: "conflict" } : { type: "failed", reason: reasonOf(error) });
    }
  };
  return (
    <li className={`rule-line ${rule.enabled ? "" : "off"} ${rule.effect}`}>
      <button
        role="switch"
        className="switch"
        aria-checked={rule.enabled}
        aria-label={t("thresholds.on", { rule: `${rule.metric} ${words} ${condition(rule)}` })}
        title={t(rule.enabled ? "thresholds.isOn" : "thresholds.off")}
        disabled={state.type === "saving"}
        onClick={() => void flip()}
      />
      <SeverityMark severity={rule.severity} />
      <Link className="what" href={`/thresholds/${rule.id}`}>
        {rule.effect === "none" ? <i>{condition(rule)}</i> : <b>{condition(rule)}</b>} <span>{words}</span>
      </Link>
      <span className="muted closes">{closes}</span>
      <span className="muted note">{rule.note}</span>
      <span className="marks">
        {!rule.enabled && <span className="mark">{t("thresholds.off")}</span>}
        {openCount > 0 && <Link href={`/violations?threshold_id=${rule.id}`}>{t("thresholds.open", { n: openCount })}</Link>}
        {isBuiltIn(rule) ? (
          <span className="mark" title={t("thresholds.builtIn.long")}>
            {t("thresholds.builtIn")}
          </span>
        ) : (
          rule.changed_at && (
            <span className="muted" title={dateAndTime(rule.changed_at)}>
              {t("thresholds.changed", { who: rule.changed_by ?? t("versions.somebody"), time: minute(rule.changed_at) })}
            </span>
          )
        )}
      </span>
      {state.type === "failed" && (
        <p className="problem" role="alert">
          {t("form.failed", { reason: state.reason })}
        </p>
      )}
      {state.type === "conflict" && (
        <Conflict onTake={() => (reload(), setState({ type: "idle" }))}>
          <Since id={rule.id} version={rule.version} />
        </Conflict>
      )}
    </li>
  );
}
