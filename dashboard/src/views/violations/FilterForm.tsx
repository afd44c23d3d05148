// All filters that violations have. Each is in force as soon as it is chosen.

import { useId, useState, type FormEvent, type ReactNode } from "react";

import { api } from "../../api/client.ts";
import { Picker, type Option } from "../../components/Picker.tsx";
import { catalog } from "../../state/catalog.ts";
import { useResource } from "../../state/resource.ts";
import { useStore } from "../../state/store.ts";
import { onThresholds } from "../../state/versions.ts";
import { t, type Key } from "../../text/index.ts";
import { condition } from "../threshold-text.ts";
import { KINDS, STATES, toggled, withValue, type Filters, type ListName } from "./filters.ts";

/** Machines that are proposed. */
const PROPOSED = 12;

interface Props {
  filters: Filters;
  change: (filters: Filters) => void;
  hasState: boolean;
}

export function FilterForm({ filters, change, hasState }: Props) {
  const names = [...useStore(catalog).keys()];
  const rules = useResource("thresholds", (signal) => api.thresholds(signal), onThresholds);
  const add = (name: ListName) => (value: string) => change(withValue(filters, name, value));
  const find = (kind: string | undefined) => async (q: string, signal: AbortSignal): Promise<Option[]> => {
    const { items } = await api.machines({ q: q || undefined, kind, limit: PROPOSED }, signal);
    return items.map((machine) => ({
      value: kind === "host" ? machine.host_id : machine.id,
      text: machine.name,
      note: machine.kind === "container" ? t("machine.on", { host: machine.host_name ?? machine.host_id }) : undefined,
    }));
  };
  return (
    <div className="filter-form" role="group" aria-label={t("filters.more")}>
      <Field name={t("filter.machine_id")}>
        <Picker label={t("filter.machine_id")} find={find(undefined)} onPick={({ value }) => add("machine_id")(value)} />
      </Field>
      <Field name={t("filter.host_id")}>
        <Picker label={t("filter.host_id")} find={find("host")} onPick={({ value }) => add("host_id")(value)} />
      </Field>
      <Field name={t("filter.kind")}>
        <div className="chips">
          {KINDS.map((kind) => (
            <button key={kind} className="chip" aria-pressed={filters.kind.includes(kind)} onClick={() => change({ ...filters, kind: toggled(filters.kind, kind) })}>
              {t(`filter.kind.${kind}` as Key)}
            </button>
          ))}
        </div>
      </Field>
      <Text name="metric" proposals={names} onAdd={add("metric")} />
      <Text name="device" placeholder="/data" onAdd={add("device")} />
      <Text name="label" placeholder="rack=a1" onAdd={add("label")} />
      <Choice name={t("filter.threshold_id")} value="" onChoose={(value) => add("threshold_id")(value)} options={(rules.data ?? []).map((rule) => [rule.id ?? "", `${rule.metric} ${rule.device ?? ""} ${condition(rule)}`])} />
      {hasState && (
        <Choice name={t("violations.standing")} value={filters.state} onChoose={(state) => change({ ...filters, state: state as Filters["state"] })} options={STATES.map((state) => [state, t(`filter.state.${state}`)])} />
      )}
      <Choice
        name={t("filter.acknowledged")}
        value={filters.acknowledged}
        onChoose={(acknowledged) => change({ ...filters, acknowledged: acknowledged as Filters["acknowledged"] })}
        options={(["true", "false"] as const).map((value) => [value, t(`filter.acknowledged.${value}`)])}
      />
    </div>
  );
}

function Field({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="field">
      <span aria-hidden="true">{name}</span>
      {children}
    </div>
  );
}

interface TextProps {
  name: ListName;
  placeholder?: string;
  proposals?: readonly string[];
  onAdd: (value: string) => void;
}

function Text({ name, placeholder, proposals, onAdd }: TextProps) {
  const [value, setValue] = useState("");
  const id = useId();
  const title = t(`filter.${name}` as Key);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onAdd(value);
    setValue("");
  };
  return (
    <form className="field" onSubmit={submit}>
      <span aria-hidden="true">{title}</span>
      <div className="with-button">
        <input aria-label={title} value={value} maxLength={1_024} placeholder={placeholder} list={proposals && id} onChange={(event) => setValue(event.target.value)} />
        <button disabled={value.trim() === ""}>{t("filters.add")}</button>
      </div>
      {proposals && (
        <datalist id={id}>
          {proposals.map((text) => (
            <option key={text} value={text} />
          ))}
        </datalist>
      )}
    </form>
  );
}

interface ChoiceProps {
  name: string;
  value: string;
  options: readonly (readonly [string, string])[];
  onChoose: (value: string) => void;
}

function Choice({ name, value, options, onChoose }: ChoiceProps) {
  return (
    <label className="field">
      <span>{name}</span>
      <select value={value} onChange={(event) => onChoose(event.target.value)}>
        <option value="">{t("violations.all")}</option>
        {options.map(([option, text]) => (
          <option key={option} value={option}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
