// What the rule said then, and whether the stored samples come to the same once more.

import type { Explanation, Threshold } from "../../api/client.ts";
import { Link } from "../../components/Link.tsx";
import { dateAndTime } from "../../format/times.ts";
import { t, type Key } from "../../text/index.ts";
import { condition, exactText, valueText } from "../threshold-text.ts";

type Then = NonNullable<Explanation["threshold"]>;

export function RuleThen({ explanation }: { explanation: Explanation }) {
  const { violation, threshold, closed_by, scope } = explanation;
  return (
    <>
      {threshold ? <Version then={threshold} /> : <p className="muted">{t("explain.rule.unknown")}</p>}
      {scope && scope.labels.length > 0 && (
        <ul className="scope" aria-label={t("explain.scope")}>
          {scope.labels.map(({ label, wanted, value, matches }) => (
            <li key={label} className={matches ? "" : "bad"}>
              <b>{label}</b> {wanted} {!matches && <small>{t("explain.scope.now", { value: value ?? "–" })}</small>}
            </li>
          ))}
        </ul>
      )}
      {closed_by && (
        <>
          <h4>{t("explain.rule.closing")}</h4>
          <Version then={closed_by} />
        </>
      )}
      <p>
        <Link href={`/thresholds/${violation.threshold_id}`}>{t("explain.rule.now")}</Link>
      </p>
    </>
  );
}

function Version({ then }: { then: Then }) {
  const rule = then.threshold as Threshold;
  const { recovery_value, recovery_for_seconds } = rule;
  const hasRecovery = recovery_value !== null && recovery_value !== undefined && (recovery_value !== rule.value || recovery_for_seconds > 0);
  const back = rule.direction === "above" ? "explain.recovery.below" : "explain.recovery.above";
  return (
    <p>
      {rule.metric} {rule.device && <b>{rule.device}</b>} {condition(rule)}
      {hasRecovery && `, ${t(back, { value: exactText(rule, recovery_value) })}`}
      <small>
        {t("explain.version", { n: rule.version ?? 0 })}
        {then.changed_at && ` · ${dateAndTime(then.changed_at)}`}
        {then.changed_by && ` · ${then.changed_by}`}
      </small>
      {rule.note && <span className="comment">{rule.note}</span>}
    </p>
  );
}

/** The backend's sentences, in the languages of the page. */
const HINDRANCES: Record<string, Key> = {
  "the samples of then are not kept any more": "hindrance.samples",
  "it closed because its rule was changed, which no sample says": "hindrance.changed",
  "its machine is forgotten": "hindrance.forgotten",
  "its machine is not one whose samples are kept": "hindrance.forgotten",
  "the rule's version of then was not kept": "hindrance.version",
  "it tells of reports that did not come, which no report says": "hindrance.reports",
};

export function Verdict({ explanation }: { explanation: Explanation }) {
  const { agrees, hindrance, re_evaluated, violation } = explanation;
  const known = hindrance && HINDRANCES[hindrance];
  return (
    <>
      {agrees === true && <p className="verdict agrees">{t(hindrance ? "explain.agrees.opening" : "explain.agrees")}</p>}
      {agrees === false && (
        <p className="verdict differs">
          {t("explain.differs")}{" "}
          {re_evaluated?.opened_at
            ? t("explain.differs.how", { opened: dateAndTime(re_evaluated.opened_at), value: valueText(violation, re_evaluated.peak_value), closed: re_evaluated.closed_at ? dateAndTime(re_evaluated.closed_at) : "–" })
            : t("explain.differs.nothing")}
        </p>
      )}
      {hindrance && <p className="verdict hindrance">{known ? t(known) : hindrance}</p>}
    </>
  );
}
