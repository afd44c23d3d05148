// The rules, as they are.

import { api, type Threshold } from "../api/client.ts";
import { SeverityMark } from "../components/Marks.tsx";
import { Panel } from "../components/Panel.tsx";
import { Scrolls } from "../components/Scrolls.tsx";
import { useResource } from "../state/resource.ts";
import { t } from "../text/index.ts";
import { condition, scope, valueText } from "./threshold-text.ts";

export function ThresholdsView() {
  const resource = useResource("thresholds", (signal) => api.thresholds(signal));
  const rules = [...(resource.data ?? [])].sort((one, other) => one.metric.localeCompare(other.metric) || (one.value ?? 0) - (other.value ?? 0));
  return (
    <div className="view">
      <Panel title={t("nav.thresholds")} resource={resource} isEmpty={rules.length === 0} empty={t("thresholds.none")} aside={<span className="count">{rules.length}</span>}>
        <Scrolls label={t("nav.thresholds")}>
          <table>
            <thead>
              <tr>
                <th>{t("violations.severity")}</th>
                <th>{t("violations.metric")}</th>
                <th>{t("thresholds.condition")}</th>
                <th className="right">{t("thresholds.recovery")}</th>
                <th>{t("thresholds.scope")}</th>
                <th>{t("thresholds.note")}</th>
              </tr>
            </thead>
            <tbody>
              {rules.map((rule: Threshold) => (
                <tr key={rule.id} className={rule.enabled ? "" : "muted"}>
                  <td>
                    <SeverityMark severity={rule.severity} />
                  </td>
                  <td className="metric">
                    {rule.metric} {rule.device && <b>{rule.device}</b>}
                  </td>
                  <td>
                    {condition(rule)} {!rule.enabled && <small>{t("thresholds.off")}</small>}
                  </td>
                  <td className="right">{valueText(rule, rule.recovery_value)}</td>
                  <td>{scope(rule)}</td>
                  <td className="muted">{rule.note}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scrolls>
      </Panel>
    </div>
  );
}
