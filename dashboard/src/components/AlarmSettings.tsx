// Whether a violation that opens rings, and how. The browser is asked for its permission only when somebody chooses notifications.

import { useState } from "react";

import { canNotify, hasNotifications } from "../state/alarm.ts";
import { chime } from "../state/chime.ts";
import { choose, usePreferences, type Alarm } from "../state/preferences.ts";
import { t } from "../text/index.ts";

export function AlarmSettings() {
  const { alarm, hasSound, hasNotification } = usePreferences();
  const [isRefused, setRefused] = useState(false);
  const wantNotifications = async (isWanted: boolean) => {
    const permission = isWanted && !canNotify() ? await Notification.requestPermission() : "granted";
    setRefused(permission !== "granted");
    choose({ hasNotification: isWanted && permission === "granted" });
  };
  return (
    <fieldset className="alarm">
      <label>
        {t("alarm.title")}
        <select value={alarm} onChange={(event) => choose({ alarm: event.target.value as Alarm })}>
          <option value="off">{t("alarm.off")}</option>
          <option value="critical">{t("alarm.critical")}</option>
          <option value="warning">{t("alarm.warning")}</option>
        </select>
      </label>
      {alarm !== "off" && (
        <>
          <div>
            <label className="check">
              <input type="checkbox" checked={hasSound} onChange={(event) => choose({ hasSound: event.target.checked })} />
              {t("alarm.sound")}
            </label>
            {hasSound && <button onClick={() => chime("critical")}>{t("alarm.try")}</button>}
          </div>
          <label className="check">
            <input type="checkbox" disabled={!hasNotifications()} checked={hasNotification && canNotify()} onChange={(event) => void wantNotifications(event.target.checked)} />
            {t("alarm.notification")}
          </label>
          {(isRefused || !hasNotifications()) && <small role="status">{t(isRefused ? "alarm.refused" : "alarm.impossible")}</small>}
          <small>{t("alarm.hint")}</small>
        </>
      )}
    </fieldset>
  );
}
