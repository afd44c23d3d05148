import { createRoot } from "react-dom/client";

import { App } from "./App.tsx";
import { start as startAlarm } from "./state/alarm.ts";
import { start as startLive } from "./live/live.ts";
import { start as startCatalog } from "./state/catalog.ts";
import { start as startNotices } from "./state/notices.ts";
import { start as startPreferences } from "./state/preferences.ts";
import { start as startSilences } from "./state/silences.ts";
import { start as startVersions } from "./state/versions.ts";
import { start as startViolations } from "./state/violations.ts";
import { start as startText } from "./text/index.ts";
import "./style.css";
import "./rules.css";

startPreferences();
startLive();
startCatalog();
startVersions();
startViolations();
startNotices();
startSilences();
startAlarm();
const element = document.getElementById("page");
await startText();
if (element) createRoot(element).render(<App />);
