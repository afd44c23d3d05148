// What is violated now, and what was; each violation has a page of its own that opens beside the list.

import { useCallback, useRef } from "react";

import { Link } from "../../components/Link.tsx";
import { navigate, useQuery } from "../../router.ts";
import { useStore } from "../../state/store.ts";
import { open } from "../../state/violations.ts";
import { t } from "../../text/index.ts";
import { filtersOf, written } from "./filters.ts";
import { HistoryTab } from "./HistoryTab.tsx";
import { OpenTab } from "./OpenTab.tsx";
import { DEFAULT, periodOf } from "./period.ts";
import { ViolationPanel } from "./ViolationPanel.tsx";

export function ViolationsView({ id }: { id: string | undefined }) {
  const main = useRef<HTMLDivElement>(null);
  const scroller = useCallback(() => main.current, []);
  const { all } = useStore(open);
  const [query] = useQuery();
  const period = periodOf(query);
  // filters go along from one tab to the other
  const kept = written(filtersOf(query));
  const path = (words: [string, string][]) => {
    const text = new URLSearchParams([...words, ...kept]).toString();
    return text ? `/violations?${text}` : "/violations";
  };
  const close = useCallback(() => {
    navigate(`/violations${location.search}`);
    // the keyboard goes on at the row
    requestAnimationFrame(() => main.current?.querySelector<HTMLElement>(`[data-id="${id}"] .of-metric a`)?.focus());
  }, [id]);
  return (
    <>
      <div className="view violations-view" ref={main}>
        <div className="tabs">
          <Link href={path([])} aria-current={period ? undefined : "page"}>
            {t("violations.open")} <span className="count">{all.size}</span>
          </Link>
          <Link href={path([["range", DEFAULT]])} aria-current={period ? "page" : undefined}>
            {t("violations.byDate")}
          </Link>
        </div>
        {period ? <HistoryTab period={period} scroller={scroller} /> : <OpenTab scroller={scroller} />}
      </div>
      {id !== undefined && <ViolationPanel key={id} id={id} onClose={close} />}
    </>
  );
}
