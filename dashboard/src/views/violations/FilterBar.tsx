// Which violations are shown: what is chosen stands there and can be taken out; the rest is behind a button.

import { useState, type ReactNode } from "react";

import { api } from "../../api/client.ts";
import { navigate, useQuery } from "../../router.ts";
import { useResource } from "../../state/resource.ts";
import { onThresholds } from "../../state/versions.ts";
import { t, type Key } from "../../text/index.ts";
import { FilterForm } from "./FilterForm.tsx";
import { condition } from "../threshold-text.ts";
import { filtersOf, LISTS, refiltered, SEVERITIES, toggled, written, type Filters, type ListName } from "./filters.ts";

/** The filters of the URL, and how to change them. */
export function useFilters(): [Filters, (filters: Filters) => void] {
  const [query] = useQuery();
  const change = (filters: Filters) => {
    const text = refiltered(new URLSearchParams(location.search), filters).toString();
    navigate(location.pathname + (text && `?${text}`), "replace");
  };
  return [filtersOf(query), change];
}

interface Props {
  filters: Filters;
  change: (filters: Filters) => void;
  /** How many there are of each severity, where that is known. */
  counts?: Record<string, number>;
  /** Of open ones the state is known. */
  hasState: boolean;
  children?: ReactNode;
}

export function FilterBar({ filters, change, counts, hasState, children }: Props) {
  const [isOpen, setOpen] = useState(false);
  const chosen = LISTS.filter((name) => name !== "severity").flatMap((name) => filters[name].map((value) => ({ name, value })));
  const remove = (name: ListName, value: string) => change({ ...filters, [name]: filters[name].filter((other) => other !== value) });
  const nothing = filtersOf(new URLSearchParams());
  return (
    <div className="filter-bar">
      <div className="filter-line">
        <div className="chips" role="group" aria-label={t("violations.severity")}>
          {SEVERITIES.map((severity) => (
            <button key={severity} className="chip" aria-pressed={filters.severity.includes(severity)} onClick={() => change({ ...filters, severity: toggled(filters.severity, severity) })}>
              <span className={`dot ${severity}`} aria-hidden="true" />
              {counts?.[severity] ?? ""} {t(`severity.${severity}` as Key)}
            </button>
          ))}
        </div>
        {children}
        <button aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {t("filters.more")}
        </button>
      </div>
      {isOpen && <FilterForm filters={filters} change={change} hasState={hasState} />}
      {written(filters).length > 0 && (
        <ul className="chosen" aria-label={t("filters.chosen")}>
          {chosen.map(({ name, value }) => (
            <li key={`${name} ${value}`}>
              <span>
                {t(`filter.${name}` as Key)} <b>{name === "machine_id" ? <MachineName id={value} /> : name === "threshold_id" ? <RuleName id={value} /> : name === "kind" ? t(`filter.kind.${value}` as Key) : value}</b>
              </span>
              <button aria-label={t("filters.remove", { name: `${t(`filter.${name}` as Key)} ${value}` })} onClick={() => remove(name, value)}>
                ×
              </button>
            </li>
          ))}
          {filters.state && <Word text={t(`filter.state.${filters.state}` as Key)} onRemove={() => change({ ...filters, state: "" })} />}
          {filters.acknowledged && <Word text={t(`filter.acknowledged.${filters.acknowledged}` as Key)} onRemove={() => change({ ...filters, acknowledged: "" })} />}
          <li className="clear">
            <button onClick={() => change(nothing)}>{t("fleet.clear")}</button>
          </li>
        </ul>
      )}
    </div>
  );
}

function Word({ text, onRemove }: { text: string; onRemove: () => void }) {
  return (
    <li>
      <b>{text}</b>
      <button aria-label={t("filters.remove", { name: text })} onClick={onRemove}>
        ×
      </button>
    </li>
  );
}

/** What is no more keeps its number. */
function MachineName({ id }: { id: string }) {
  const machine = useResource(`${id} name`, (signal) => api.machine(id, signal));
  return <>{machine.data?.name ?? `#${id}`}</>;
}

function RuleName({ id }: { id: string }) {
  const rules = useResource("thresholds", (signal) => api.thresholds(signal), onThresholds);
  const rule = rules.data?.find((one) => one.id === id);
  return <>{rule ? `${rule.metric} ${condition(rule)}` : `#${id}`}</>;
}
