// What the evaluator did, sample by sample.

import type { Explanation } from "../../api/client.ts";
import { dateAndTime } from "../../format/times.ts";
import { t, type Key } from "../../text/index.ts";
import { valueText } from "../threshold-text.ts";

const KINDS = ["waiting_began", "waiting_began_anew", "came_back", "waiting_ended", "opened", "recovering_began", "recovering_began_anew", "fell_back", "closed"];

export function Steps({ explanation }: { explanation: Explanation }) {
  const { steps, samples, violation } = explanation;
  if (steps.length === 0) return null;
  const values = new Map(samples.t.map((at, index) => [at, samples.value[index]]));
  return (
    <ol className="steps" aria-label={t("explain.steps")}>
      {steps.map((step, index) => (
        <li key={index} className={step.step}>
          <time dateTime={step.at}>{dateAndTime(step.at)}</time>
          <span>{KINDS.includes(step.step) ? t(`step.${step.step}` as Key) : step.step}</span>
          <b>{valueText(violation, values.get(Date.parse(step.at)))}</b>
          <small lang="en">{step.text}</small>
        </li>
      ))}
    </ol>
  );
}
