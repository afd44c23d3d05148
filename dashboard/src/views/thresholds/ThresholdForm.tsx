// The fields of a rule, in the order in which one would say it: of what, of whom, when, when no more, and what then.

import type { Metric } from "../../api/client.ts";
import { Combobox } from "../../components/Combobox.tsx";
import { Choices, Field, TextField } from "../../components/Field.tsx";
import { catalog, unitOf } from "../../state/catalog.ts";
import { useStore } from "../../state/store.ts";
import { t } from "../../text/index.ts";
import { metricOptions } from "../metric-options.ts";
import type { NameOf } from "../threshold-text.ts";
import { DeviceField } from "./DeviceField.tsx";
import { exampleOf, understood, understoodDuration, type Draft } from "./draft.ts";
import { SEVERITIES } from "./order.ts";
import { ScopeFields } from "./ScopeFields.tsx";

interface Props {
  draft: Draft;
  problems: Readonly<Record<string, string>>;
  isNew: boolean;
  nameOf: NameOf;
  onChange: (change: Partial<Draft>) => void;
}

/** Shares that can be full, as the backend has them. */
const FILLABLE = ["system.filesystem.utilization", "system.filesystem.inodes.utilization", "system.memory.utilization", "system.paging.utilization", "container.memory.utilization"];
const WITH_DEVICES = ["filesystem", "disk", "network", "sensor"];

export function ThresholdForm({ draft, problems, isNew, nameOf, onChange }: Props) {
  const metrics = useStore(catalog);
  const metric = metrics.get(draft.metric);
  const hasDevices = metric ? WITH_DEVICES.includes(metric.of) : draft.metric !== "" && draft.kind === "host";
  const conditions = (["value", "change", "time_until_full"] as const).filter((name) => name !== "time_until_full" || FILLABLE.includes(draft.metric));
  const opens = draft.effect === "open";
  const meaning = (typed: string) => {
    const text = understood(draft, typed, unitOf);
    return text && t("field.understood", { value: text });
  };
  const duration = (typed: string) => {
    const text = understoodDuration(typed);
    return text && t("field.understood", { value: text });
  };
  return (
    <>
      {isNew ? (
        <Field title={t("violations.metric")} hint={metric ? `${metric.description} (${unitName(metric)})` : t("field.metric.hint")} problem={problems.metric}>
          {(ties) => (
            <Combobox ties={ties} text={draft.metric} optionsOf={(typed) => metricOptions(metrics, typed)} onPick={(option) => onChange(withMetric(draft, option.value, metrics))} onType={(text) => onChange(withMetric(draft, text, metrics))} />
          )}
        </Field>
      ) : (
        <div className="entry fixed" title={t("field.metric.fixed")}>
          <span>{t("violations.metric")}</span>
          <b>{draft.metric}</b>
          <small>{metric && `${metric.description} (${unitName(metric)})`}</small>
          <p>
            {t(`field.condition.${draft.condition}`)} {draft.condition !== "time_until_full" && t(`field.direction.${draft.direction}`)}
          </p>
        </div>
      )}
      {hasDevices && <DeviceField metric={draft.metric} device={draft.device} problem={problems.device} onChange={(device) => onChange({ device })} />}
      <ScopeFields draft={draft} problems={problems} isKindKnown={metric !== undefined || draft.kind === "pipeline"} nameOf={nameOf} onChange={onChange} />
      <Choices title={t("field.effect")} value={draft.effect} options={(["open", "none"] as const).map((name) => [name, t(`effect.${name}`)] as const)} hint={opens ? null : t("field.effect.hint")} onChange={(effect) => onChange({ effect })} />
      {isNew && (
        <Choices
          title={t("field.condition")}
          value={draft.condition}
          options={conditions.map((name) => [name, t(`field.condition.${name}`)] as const)}
          onChange={(condition) => onChange({ condition, ...(condition !== draft.condition && { value: "", recovery: "" }) })}
        />
      )}
      {isNew && draft.condition !== "time_until_full" && (
        <Choices title={t("field.direction")} value={draft.direction} options={(["above", "below"] as const).map((name) => [name, t(`field.direction.${name}`)] as const)} onChange={(direction) => onChange({ direction })} />
      )}
      {opens && (
        <div className="pairs">
          <TextField
            title={t(draft.condition === "time_until_full" ? "field.full" : "field.value")}
            value={draft.value}
            placeholder={exampleOf(draft, unitOf)}
            hint={meaning(draft.value)}
            problem={problems.value}
            onChange={(value) => onChange({ value })}
          />
          {draft.condition !== "value" && <TextField title={t("field.window")} value={draft.window} hint={duration(draft.window)} problem={problems.window_seconds} onChange={(window) => onChange({ window })} />}
          <TextField title={t("field.for")} value={draft.lasting} placeholder="0 s" hint={duration(draft.lasting)} problem={problems.for_seconds} onChange={(lasting) => onChange({ lasting })} />
          <TextField title={t("field.recovery")} value={draft.recovery} placeholder={t("field.recovery.same")} hint={meaning(draft.recovery)} problem={problems.recovery_value} onChange={(recovery) => onChange({ recovery })} />
          <TextField title={t("field.recoveryFor")} value={draft.recoveryLasting} placeholder="0 s" hint={duration(draft.recoveryLasting)} problem={problems.recovery_for_seconds} onChange={(recoveryLasting) => onChange({ recoveryLasting })} />
        </div>
      )}
      <Choices title={t("field.severity")} value={draft.severity} options={SEVERITIES.map((name) => [name, t(`severity.${name}`)] as const)} onChange={(severity) => onChange({ severity })} />
      <Field title={t("thresholds.note")} problem={problems.note}>
        {(ties) => <textarea {...ties} rows={2} value={draft.note} onChange={(event) => onChange({ note: event.target.value })} />}
      </Field>
      <label className="check">
        <input type="checkbox" checked={draft.enabled} onChange={(event) => onChange({ enabled: event.target.checked })} /> {t("field.enabled")}
      </label>
    </>
  );
}

const UNITS: Record<string, string> = { "1": "%", By: "B", "By/s": "B/s", Cel: "°C" };

function unitName({ unit, name }: Metric): string {
  return unitOf(name) === null ? "0, 1, …" : (UNITS[unit] ?? unit.replace(/[{}]/g, ""));
}

/** Another metric may be of another kind, have another unit and no devices; a machine of another kind cannot stay. */
function withMetric(draft: Draft, name: string, metrics: ReadonlyMap<string, Metric>): Partial<Draft> {
  const found = metrics.get(name);
  const kind = found ? (found.of === "container" || found.of === "pipeline" ? found.of : "host") : draft.kind === "pipeline" ? "host" : draft.kind;
  const isSameUnit = unitOf(name) === unitOf(draft.metric);
  const isFillable = FILLABLE.includes(name);
  return {
    metric: name,
    kind,
    ...(found && !WITH_DEVICES.includes(found.of) && { device: "" }),
    ...(kind !== draft.kind && { machineId: "" }),
    ...(kind === "pipeline" && { target: "all" as const }),
    ...(draft.condition === "time_until_full" && !isFillable && { condition: "value" as const }),
    ...(!isSameUnit && { value: "", recovery: "" }),
  };
}
