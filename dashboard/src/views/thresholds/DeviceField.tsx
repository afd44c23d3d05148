// A device by its name or by a pattern: those that hosts have now are proposed.

import { api } from "../../api/client.ts";
import { Combobox } from "../../components/Combobox.tsx";
import { Field } from "../../components/Field.tsx";
import { useResource } from "../../state/resource.ts";
import { t } from "../../text/index.ts";
import { deviceOptions } from "../metric-options.ts";

interface Props {
  metric: string;
  device: string;
  problem: string | undefined;
  onChange: (device: string) => void;
}

export function DeviceField({ metric, device, problem, onChange }: Props) {
  // who cannot be told them types
  const { data } = useResource(`devices ${metric}`, async (signal) => (await api.top(metric, signal)).items);
  return (
    <Field title={t("field.device")} hint={t("field.device.hint")} problem={problem}>
      {(ties) => <Combobox ties={ties} text={device} placeholder={t("violations.all")} optionsOf={(typed) => deviceOptions(data ?? [], typed)} onPick={(option) => onChange(option.value)} onType={onChange} />}
    </Field>
  );
}
