// The frame around all views: where one can go, whether the stream lives, and what opened just now.

import { Component, useEffect, useState, useSyncExternalStore, type ReactNode } from "react";

import { api } from "./api/client.ts";
import { Link } from "./components/Link.tsx";
import { SeverityMark } from "./components/Marks.tsx";
import { Notice } from "./components/Notice.tsx";
import { Settings } from "./components/Settings.tsx";
import { SignIn } from "./components/SignIn.tsx";
import { dateAndTime } from "./format/times.ts";
import { stream } from "./live/live.ts";
import { usePath, viewOf, type View } from "./router.ts";
import { catalog } from "./state/catalog.ts";
import { usePreferences } from "./state/preferences.ts";
import { useStore } from "./state/store.ts";
import { open } from "./state/violations.ts";
import { spoken, t, type Key } from "./text/index.ts";
import { FleetView } from "./views/FleetView.tsx";
import { MachineView } from "./views/MachineView.tsx";
import { PipelineView } from "./views/pipeline/PipelineView.tsx";
import { SilencesView } from "./views/silences/SilencesView.tsx";
import { SilenceView } from "./views/silences/SilenceView.tsx";
import { ThresholdsView } from "./views/thresholds/ThresholdsView.tsx";
import { ThresholdView } from "./views/thresholds/ThresholdView.tsx";
import { ViolationsView } from "./views/violations/ViolationsView.tsx";

const NAV: { title: Key; href: string; views: View["name"][] }[] = [
  { title: "nav.fleet", href: "/", views: ["hosts", "containers", "machine"] },
  { title: "nav.violations", href: "/violations", views: ["violations"] },
  { title: "nav.thresholds", href: "/thresholds", views: ["thresholds", "threshold", "silences", "silence"] },
  { title: "nav.pipeline", href: "/pipeline", views: ["pipeline"] },
];

/** Views that say themselves what they are of. */
const HAS_HEADING: View["name"][] = ["machine", "threshold", "silence"];

export function App() {
  // a language or zone that was chosen is in every text below
  const { zone } = usePreferences();
  const language = useStore(spoken)?.language;
  useStore(catalog);
  const view = viewOf(usePath());
  const { state, since } = useSyncExternalStore(stream.subscribe, stream.get);
  return (
    <>
      <a className="skip" href="#main">
        {t("nav.skip")}
      </a>
      <header className="top">
        <Link href="/" className="brand" aria-label="server-monitoring">
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M2 13h4l3-8 5 14 3-6h5" />
          </svg>
          <span>server-monitoring</span>
        </Link>
        <nav aria-label={t("nav.main")}>
          {NAV.map(({ title, href, views }) => (
            <Link key={href} href={href} aria-current={views.includes(view.name) ? "page" : undefined}>
              {t(title)}
              {href === "/violations" && <OpenCount />}
            </Link>
          ))}
        </nav>
        <p className={`stream ${state}`} role="status">
          {t(state === "live" ? "stream.live" : state === "connecting" ? "stream.connecting" : "stream.lost")}
        </p>
        <Settings />
      </header>
      {state === "lost" && (
        <p className="lost" role="alert">
          {t("stream.lost.long", { time: dateAndTime(since) })}
        </p>
      )}
      <main id="main" tabIndex={-1} key={`${language} ${zone}`} className={state === "lost" ? "is-lost" : ""}>
        {!HAS_HEADING.includes(view.name) && <h1 className="visually-hidden">{t(NAV.find(({ views }) => views.includes(view.name))?.title ?? "nav.fleet")}</h1>}
        <Fence key={placeOf(view)}>
          <Guarded>
            <Shown view={view} />
          </Guarded>
        </Fence>
      </main>
      <Notice />
    </>
  );
}

/** Where another one begins anew; the list stays behind the violation that is looked at. */
function placeOf(view: View): string {
  return view.name === "violations" ? view.name : JSON.stringify(view);
}

function Shown({ view }: { view: View }) {
  switch (view.name) {
    case "hosts":
      return <FleetView key="host" kind="host" />;
    case "containers":
      return <FleetView key="container" kind="container" />;
    case "machine":
      return <MachineView key={`${view.kind} ${view.id}`} kind={view.kind} id={view.id} />;
    case "pipeline":
      return <PipelineView />;
    case "violations":
      return <ViolationsView id={view.id} />;
    case "thresholds":
      return <ThresholdsView />;
    case "threshold":
      return <ThresholdView id={view.id} />;
    case "silences":
      return <SilencesView />;
    case "silence":
      return <SilenceView id={view.id} />;
    case "nowhere":
      return (
        <div className="nothing">
          <p>{t("nowhere")}</p>
          <Link href="/">{t("nowhere.back")}</Link>
        </div>
      );
  }
}

/** Asks for the token where one is needed. */
function Guarded({ children }: { children: ReactNode }) {
  const { state } = useSyncExternalStore(stream.subscribe, stream.get);
  const [needsToken, setNeedsToken] = useState(false);
  useEffect(() => {
    if (state === "live") return;
    let isCurrent = true;
    api.session().then(
      (session) => isCurrent && setNeedsToken(!session.signed_in),
      // not reachable: the header says so
      () => undefined,
    );
    return () => {
      isCurrent = false;
    };
  }, [state]);
  return needsToken || state === "signed-out" ? <SignIn onDone={() => location.reload()} /> : children;
}

function OpenCount() {
  const { counts, all } = useStore(open);
  useEffect(() => {
    document.title = counts.critical > 0 ? `(${counts.critical}) server-monitoring` : "server-monitoring";
    const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]");
    if (icon) icon.href = favicon(counts.critical, counts.warning > 0);
  }, [counts]);
  if (all.size === 0) return null;
  return (
    <span className="open-counts">
      {counts.critical > 0 && <SeverityMark severity="critical" count={counts.critical} />}
      {counts.warning > 0 && <SeverityMark severity="warning" count={counts.warning} />}
      {counts.info > 0 && <SeverityMark severity="info" count={counts.info} />}
    </span>
  );
}

function favicon(critical: number, hasWarnings: boolean): string {
  const color = critical > 0 ? "#c2252f" : hasWarnings ? "#a86a00" : "#157f58";
  const text = critical > 99 ? "99" : String(critical);
  const inside =
    critical > 0
      ? `<text x="16" y="23" font-family="sans-serif" font-weight="700" font-size="${text.length > 1 ? 17 : 20}" text-anchor="middle" fill="#fff">${text}</text>`
      : `<path d="M5 17h5l4-9 5 15 3-6h5" fill="none" stroke="#fff" stroke-width="3" stroke-linejoin="round"/>`;
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="${color}"/>${inside}</svg>`)}`;
}

/** A fault in a view takes the view away, not the page. */
class Fence extends Component<{ children: ReactNode }, { reason: string | null }> {
  override state = { reason: null };

  static getDerivedStateFromError(error: unknown) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }

  override render() {
    if (this.state.reason === null) return this.props.children;
    return (
      <div className="nothing" role="alert">
        <p>{t("fault", { reason: this.state.reason })}</p>
        <button onClick={() => location.reload()}>{t("fault.reload")}</button>
      </div>
    );
  }
}
