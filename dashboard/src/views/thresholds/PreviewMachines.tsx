// Where a rule would have opened, and when: machines with their stretches, and the first stays one by one.

import { useState } from "react";

import type { Backtest, Severity } from "../../api/client.ts";
import { Scrolls } from "../../components/Scrolls.tsx";
import { duration } from "../../format/numbers.ts";
import { dateAndTime } from "../../format/times.ts";
import { t } from "../../text/index.ts";
import { exactText } from "../threshold-text.ts";
import type { Body } from "./draft.ts";
import { beginningOf } from "./past.ts";

const FIRST = 8;
/** Stays that are listed one by one. */
const STAYS = 20;
const WIDTH = 1_000;

interface Props {
  result: Backtest;
  chosen: string | null;
  severity: Severity;
  onChoose: (machineId: string) => void;
}

export function PreviewMachines({ result, chosen, severity, onChoose }: Props) {
  const [isWhole, setWhole] = useState(false);
  if (result.by_machine.length === 0) return null;
  const shown = isWhole ? result.by_machine : result.by_machine.slice(0, FIRST);
  return (
    <>
      <ul className="by-machine" aria-label={t("preview.byMachine")}>
        {shown.map((machine) => (
          <li key={machine.machine_id}>
            <button type="button" aria-pressed={machine.machine_id === chosen} onClick={() => onChoose(machine.machine_id)}>
              <span className="name">
                {machine.name} {machine.host_name !== machine.name && <small>{machine.host_name}</small>}
              </span>
              <span className="number">{machine.count}</span>
              <span className="number muted">{duration(machine.duration_ms / 1_000)}</span>
              <Strip result={result} timeline={machine.timeline} severity={severity} />
            </button>
          </li>
        ))}
      </ul>
      {result.by_machine.length > FIRST && !isWhole && (
        <button type="button" onClick={() => setWhole(true)}>
          {t("preview.more", { n: result.by_machine.length - FIRST })}
        </button>
      )}
      {result.by_machine_cut && isWhole && <p className="muted">{t("preview.cut", { n: result.machines })}</p>}
    </>
  );
}

function Strip({ result, timeline, severity }: { result: Backtest; timeline: Backtest["by_machine"][number]["timeline"]; severity: Severity }) {
  const from = beginningOf(result);
  const scale = WIDTH / Math.max(1, Date.parse(result.evaluated_to) - from);
  return (
    <svg className={`strip ${severity}`} viewBox={`0 0 ${WIDTH} 10`} preserveAspectRatio="none" aria-hidden="true">
      {timeline.map(([opened, closed], index) => {
        const left = Math.max(0, (Date.parse(opened ?? "") - from) * scale);
        const right = closed ? (Date.parse(closed) - from) * scale : WIDTH;
        return <rect key={index} x={left.toFixed(1)} y="0" height="10" width={Math.max(3, right - left).toFixed(1)} />;
      })}
    </svg>
  );
}

export function Stays({ result, body }: { result: Backtest; body: Body }) {
  if (result.violations.length === 0) return null;
  return (
    <details className="stays">
      <summary>{t("preview.stays", { n: Math.min(STAYS, result.violations.length), all: result.count })}</summary>
      <Scrolls label={t("preview.stays", { n: Math.min(STAYS, result.violations.length), all: result.count })}>
        <table>
          <thead>
            <tr>
              <th>{t("violations.machine")}</th>
              <th>{t("violations.opened")}</th>
              <th>{t("violations.lasted")}</th>
              <th className="right">{t("violations.worst")}</th>
            </tr>
          </thead>
          <tbody>
            {result.violations.slice(0, STAYS).map((stay) => (
              <tr key={`${stay.machine_id} ${stay.device ?? ""} ${stay.opened_at}`}>
                <td className="metric">
                  {stay.machine_name} {stay.device && <b>{stay.device}</b>}
                </td>
                <td>{dateAndTime(stay.opened_at)}</td>
                <td>
                  {duration(stay.duration_ms / 1_000)} {!stay.closed_at && <small>{t("violations.stillOpen")}</small>}
                </td>
                <td className="right">{exactText(body, stay.peak_value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scrolls>
    </details>
  );
}
