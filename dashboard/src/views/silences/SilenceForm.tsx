// The fields of a silence: what it is, of what, when, and why.

import { Combobox } from "../../components/Combobox.tsx";
import { Choices, Field, TextField } from "../../components/Field.tsx";
import { wallTime } from "../../format/zones.ts";
import { now } from "../../live/live.ts";
import { catalog } from "../../state/catalog.ts";
import { fleets } from "../../state/fleet.ts";
import { countOf, hostNameOf, machineName, machineOptions, useMachines } from "../../state/machines.ts";
import { useStore } from "../../state/store.ts";
import { t } from "../../text/index.ts";
import { metricOptions } from "../metric-options.ts";
import { understoodDuration } from "../thresholds/draft.ts";
import { LabelFields } from "../thresholds/LabelFields.tsx";
import type { Draft } from "./draft.ts";
import { ScheduleFields } from "./ScheduleFields.tsx";

interface Props {
  draft: Draft;
  problems: Readonly<Record<string, string>>;
  /** Of the saved one. */
  machineName: string | null;
  onChange: (change: Partial<Draft>) => void;
}

/** As bad as critical at most is any. */
const BELOW = ["warning", "info"] as const;

export function SilenceForm({ draft, problems, machineName: knownName, onChange }: Props) {
  const metrics = useStore(catalog);
  useMachines(true, "container");
  const { fit, all } = countOf({ kind: draft.kind, machineId: draft.machineId, hostId: draft.hostId, labels: draft.labels.filter(([name]) => name) });
  const isOfMachines = Boolean(draft.kind || draft.machineId || draft.hostId || draft.labels.some(([name]) => name));
  const nameOf = (id: string) => machineName("host", id) ?? machineName("container", id) ?? knownName ?? t("thresholds.scope.machine", { id });
  const machines = (typed: string) => [...(draft.kind === "container" ? [] : machineOptions("host", typed)), ...(draft.kind === "host" ? [] : machineOptions("container", typed))];
  const hosts = (typed: string) =>
    machineOptions("host", typed).flatMap((option) => {
      const row = fleets.host.rows.get(option.value);
      return row ? [{ ...option, value: row.hostId, note: row.hostId === row.name ? undefined : row.hostId }] : [];
    });
  const hostRow = fleets.host.byHost.get(draft.hostId);
  return (
    <>
      <Choices
        title={t("silences.kind")}
        value={draft.type}
        options={(["silence", "maintenance"] as const).map((name) => [name, t(`silences.kind.${name}`)] as const)}
        hint={t(`silences.kind.${draft.type}.hint`)}
        onChange={(type) => onChange({ type })}
      />
      <h2>{t("silences.scope")}</h2>
      {problems.scope && <p className="problem">{problems.scope}</p>}
      <Choices
        title={t("thresholds.kind")}
        value={draft.kind || "any"}
        options={[
          ["any", t("violations.all")],
          ["host", t("fleet.hosts")],
          ["container", t("fleet.containers")],
        ]}
        onChange={(kind) => onChange({ kind: kind === "any" ? "" : kind })}
      />
      <div className="pairs">
        <Field title={t("silences.host")}>
          {(ties) => <Combobox ties={{ ...ties, "aria-invalid": Boolean(problems.scope) }} text={draft.hostId && (hostRow ? hostNameOf(hostRow) : draft.hostId)} placeholder={t("violations.all")} optionsOf={hosts} onPick={(option) => onChange({ hostId: option.value })} onClear={() => onChange({ hostId: "" })} />}
        </Field>
        <Field title={t("silences.machine")}>
          {(ties) => <Combobox ties={ties} text={draft.machineId && nameOf(draft.machineId)} placeholder={t("violations.all")} optionsOf={machines} onPick={(option) => onChange({ machineId: option.value })} onClear={() => onChange({ machineId: "" })} />}
        </Field>
      </div>
      <LabelFields kinds={draft.kind ? [draft.kind] : ["host", "container"]} labels={draft.labels} problem={problems["scope.labels"]} hint={null} onChange={(labels) => onChange({ labels })} />
      {isOfMachines && all > 0 && <p className="muted">{t("field.matches", { n: fit, all })}</p>}
      {draft.type === "silence" && (
        <>
          <Field title={t("violations.metric")} hint={t("silences.metric.hint")} problem={problems["scope.metric"]}>
            {(ties) => <Combobox ties={ties} text={draft.metric} placeholder={t("violations.all")} optionsOf={(typed) => metricOptions(metrics, typed)} onPick={(option) => onChange({ metric: option.value })} onType={(metric) => onChange({ metric })} />}
          </Field>
          <Choices
            title={t("silences.severity")}
            value={draft.severity === "critical" ? "any" : draft.severity || "any"}
            options={[["any", t("violations.all")], ...BELOW.map((name) => [name, t("silences.scope.severity", { severity: t(`severity.${name}`) })] as const)]}
            onChange={(severity) => onChange({ severity: severity === "any" ? "" : severity })}
          />
        </>
      )}
      <h2>{t("silences.when")}</h2>
      <ScheduleFields draft={draft} problems={problems} onChange={onChange} nowAt={(ms) => wallTime(now() + ms, draft.tz)} durationHint={understoodDuration(draft.lasting)} />
      <TextField title={t("silences.comment")} value={draft.comment} problem={problems.comment} onChange={(comment) => onChange({ comment })} />
    </>
  );
}
