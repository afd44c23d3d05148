// A part of a view with its four states: loading, empty, stale (what was there stays), and not readable.

import type { ReactNode } from "react";

import type { Resource } from "../state/resource.ts";
import { t } from "../text/index.ts";

interface Props {
  title: string;
  aside?: ReactNode;
  resource?: Pick<Resource<unknown>, "data" | "error" | "loading" | "reload"> | undefined;
  isEmpty?: boolean;
  empty?: string;
  className?: string;
  children: ReactNode;
}

export function Panel({ title, aside, resource, isEmpty = false, empty, className = "", children }: Props) {
  return (
    <section className={`panel ${className}`} aria-label={title} aria-busy={resource?.loading ?? false}>
      <header>
        <h2>{title}</h2>
        {aside && <div className="aside">{aside}</div>}
      </header>
      {resource?.error && resource.data !== null && (
        <p className="stale" role="status">
          {t("panel.stale", { reason: resource.error })} <button onClick={resource.reload}>{t("panel.retry")}</button>
        </p>
      )}
      <PanelBody resource={resource} isEmpty={isEmpty} empty={empty ?? t("panel.empty")}>
        {children}
      </PanelBody>
    </section>
  );
}

export function PanelBody({ resource, isEmpty, empty, children }: Pick<Props, "resource" | "children"> & { isEmpty: boolean; empty: string }) {
  if (resource && resource.data === null) {
    if (resource.error) {
      return (
        <div className="nothing" role="alert">
          <p>{t("panel.error", { reason: resource.error })}</p>
          <button onClick={resource.reload}>{t("panel.retry")}</button>
        </div>
      );
    }
    return (
      <div className="nothing loading">
        <span className="visually-hidden">{t("panel.loading")}</span>
      </div>
    );
  }
  return isEmpty ? <div className="nothing">{empty}</div> : children;
}
