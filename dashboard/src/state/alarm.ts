// Rings for what opens, if somebody wants that: by sound and by a notification of the browser, in one tab of all (the hub says in which).

import type { Violation } from "../api/client.ts";
import { on, ringer } from "../live/live.ts";
import { navigate } from "../router.ts";
import { canSound, chime } from "./chime.ts";
import { getPreferences, onPreferences } from "./preferences.ts";
import { ability, bodyOf, rings, titleOf, Waiting } from "./ringing.ts";
import { worst } from "./violations.ts";

/** What opens together rings once; what is over by then does not. */
const TOGETHER_MS = 1_000;
/** Notifications that are shown, by what they are of. */
const shown = new Map<string, Notification>();

function notify(violations: readonly Violation[]): void {
  const first = violations[0];
  if (!first || !canNotify()) return;
  const target = violations.length === 1 ? `/violations/${first.id}` : "/violations";
  try {
    const notification = new Notification(titleOf(violations), { body: bodyOf(violations), tag: `violation ${first.id}` });
    notification.onclick = () => {
      window.focus();
      navigate(target);
      notification.close();
    };
    if (violations.length === 1) shown.set(first.id, notification);
    notification.onclose = () => shown.delete(first.id);
  } catch {
    // phones have notifications of service workers only; the settings say so
  }
}

export const hasNotifications = () => "Notification" in window;
export const canNotify = () => hasNotifications() && Notification.permission === "granted";

export function start(): void {
  const waiting = new Waiting();
  on<Violation>("violation.opened", (violation, isYours) => {
    if (!isYours || !rings(violation, getPreferences().alarm)) return;
    if (waiting.add(violation)) setTimeout(ring, TOGETHER_MS);
  });
  const ring = () => {
    const violations = waiting.take();
    const { hasSound, hasNotification } = getPreferences();
    if (violations.length === 0) return;
    if (hasSound) chime(worst(violations) ?? "info");
    if (hasNotification) notify(violations);
  };
  for (const name of ["violation.closed", "violation.acknowledged", "violation.silenced"]) {
    on<Violation>(name, ({ id }) => {
      waiting.drop(id);
      shown.get(id)?.close();
    });
  }
  const tell = ringer(() => {
    const { alarm, hasSound, hasNotification } = getPreferences();
    return ability({ alarm, sounds: hasSound && canSound(), notifies: hasNotification && canNotify(), isVisible: !document.hidden });
  });
  onPreferences(tell);
  for (const gesture of ["pointerdown", "keydown"]) addEventListener(gesture, () => setTimeout(tell), { once: true });
}
