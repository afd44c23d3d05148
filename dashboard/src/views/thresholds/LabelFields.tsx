// Labels with values or patterns of them, chosen from those that machines have.

import { useId } from "react";

import type { Kind } from "../../api/client.ts";
import { Combobox } from "../../components/Combobox.tsx";
import { labelOptions } from "../../state/machines.ts";
import { t } from "../../text/index.ts";
import type { Draft } from "./draft.ts";

interface Props {
  kinds: readonly Kind[];
  labels: Draft["labels"];
  problem: string | undefined;
  hint: string | null;
  onChange: (labels: Draft["labels"]) => void;
}

export function LabelFields({ kinds, labels, problem, hint, onChange }: Props) {
  const id = useId();
  const put = (index: number, label: readonly [string, string]) => onChange(labels.map((other, place) => (place === index ? label : other)));
  const ties = (part: string) => ({ id: `${id}-${part}`, "aria-describedby": `${id}-said`, "aria-invalid": Boolean(problem) });
  return (
    <fieldset className={`entry labels ${problem ? "wrong" : ""}`}>
      <legend>{t("field.labels")}</legend>
      {labels.map(([name, value], index) => (
        <div key={index} className="label-row">
          <Combobox ties={ties(`name-${index}`)} label={t("field.label")} placeholder={t("field.label")} text={name} optionsOf={(typed) => labelOptions(kinds, null, typed)} onPick={(option) => put(index, [option.value, value])} onType={(text) => put(index, [text, value])} />
          <span aria-hidden="true">=</span>
          <Combobox ties={ties(`value-${index}`)} label={t("field.labelValue")} placeholder={t("field.labelValue")} text={value} optionsOf={(typed) => labelOptions(kinds, name, typed)} onPick={(option) => put(index, [name, option.value])} onType={(text) => put(index, [name, text])} />
          <button type="button" aria-label={t("field.labels.remove", { label: name })} title={t("field.labels.remove", { label: name })} onClick={() => onChange(labels.filter((_, place) => place !== index))}>
            ×
          </button>
        </div>
      ))}
      <button type="button" onClick={() => onChange([...labels, ["", ""]])}>
        {t("field.labels.add")}
      </button>
      <div id={`${id}-said`} className="said">
        {problem && <p className="problem">{problem}</p>}
        <small>
          {hint} {t("field.labelValue.hint")}
        </small>
      </div>
    </fieldset>
  );
}
