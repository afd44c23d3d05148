// Of which machines: all of a kind, those with labels, or one.

import { Combobox } from "../../components/Combobox.tsx";
import { Choices, Field } from "../../components/Field.tsx";
import { countOf, machineOptions, useMachines } from "../../state/machines.ts";
import { t } from "../../text/index.ts";
import type { NameOf } from "../threshold-text.ts";
import type { Draft } from "./draft.ts";
import { LabelFields } from "./LabelFields.tsx";

type Scope = Pick<Draft, "kind" | "target" | "labels" | "machineId">;

interface Props {
  draft: Scope;
  problems: Readonly<Record<string, string>>;
  /** The metric says of which kind they are. */
  isKindKnown: boolean;
  nameOf: NameOf;
  onChange: (change: Partial<Scope>) => void;
}

export function ScopeFields({ draft, problems, isKindKnown, nameOf, onChange }: Props) {
  const kind = draft.kind === "container" ? "container" : "host";
  useMachines(draft.target !== "all", kind);
  if (draft.kind === "pipeline") return null;
  const targets = [
    ["all", t(`thresholds.scope.${kind}`)],
    ["labels", t("field.target.labels")],
    ["machine", t(`field.target.${kind}`)],
  ] as const;
  const { fit, all } = draft.target === "labels" ? countOf({ kind, labels: draft.labels.filter(([name]) => name) }) : { fit: 0, all: 0 };
  return (
    <>
      {!isKindKnown && (
        <Choices
          title={t("thresholds.kind")}
          value={kind}
          options={[
            ["host", t("fleet.hosts")],
            ["container", t("fleet.containers")],
          ]}
          onChange={(kind) => onChange({ kind, machineId: "" })}
        />
      )}
      <Choices title={t("thresholds.scope")} value={draft.target} options={targets} onChange={(target) => onChange({ target, ...(target === "labels" && draft.labels.length === 0 && { labels: [["", ""]] }) })} />
      {draft.target === "labels" && <LabelFields kinds={[kind]} labels={draft.labels} problem={problems["scope.labels"]} hint={all > 0 ? t("field.matches", { n: fit, all }) : null} onChange={(labels) => onChange({ labels })} />}
      {draft.target === "machine" && (
        <Field title={t("field.machine")} problem={problems["scope.machine_id"]}>
          {(ties) => (
            <Combobox
              ties={ties}
              text={draft.machineId ? (nameOf(draft.machineId) ?? t("thresholds.scope.machine", { id: draft.machineId })) : ""}
              placeholder={t("field.machine.hint")}
              optionsOf={(typed) => machineOptions(kind, typed)}
              onPick={(option) => onChange({ machineId: option.value })}
            />
          )}
        </Field>
      )}
    </>
  );
}
