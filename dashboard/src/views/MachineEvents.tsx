// What happened to a machine in the range: read once and again when the stream tells of more, as rows below the charts that have it as marks.

import { useEffect, useMemo } from "react";

import { api, type MachineEvent } from "../api/client.ts";
import { lit } from "../charts/marks.ts";
import { Link } from "../components/Link.tsx";
import { Panel } from "../components/Panel.tsx";
import { Scrolls } from "../components/Scrolls.tsx";
import { dateAndTime } from "../format/times.ts";
import { now, on } from "../live/live.ts";
import { machinePath } from "../router.ts";
import { type Resource, useResource } from "../state/resource.ts";
import { useStore } from "../state/store.ts";
import { t } from "../text/index.ts";
import { eventKey } from "./machine-events.ts";
import { ends, fixed, key, type Range } from "./range.ts";

/** Events of a range that are shown, the newest of them. */
const EVENTS = 500;
/** What is shown around an event when somebody looks at it. */
const AROUND_MS = 10 * 60_000;
const NAMES = ["machine.up", "machine.down", "machine.rebooted"];

export type Events = Resource<{ items: readonly MachineEvent[]; hasMore: boolean }>;

export function useMachineEvents(id: string, range: Range): Events {
  const events = useResource(`${id} ${key(range)} events`, async (signal) => {
    const { from, to } = ends(range, now());
    const until = range.type === "live" ? undefined : new Date(to).toISOString();
    const found = await api.events({ machine_id: id, from: new Date(from).toISOString(), to: until, limit: EVENTS }, signal);
    return { items: found.items, hasMore: Boolean(found.next_cursor) };
  });
  const { reload } = events;
  useEffect(() => {
    const ends = NAMES.map((name) => on<{ machine_id: string }>(name, (event) => event.machine_id === id && reload()));
    return () => ends.forEach((end) => end());
  }, [id, reload]);
  return events;
}

/** The range stays beside it: there is a way back. */
function around(event: MachineEvent): string {
  const at = Date.parse(event.at);
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(fixed(at - AROUND_MS, at + AROUND_MS))) if (value) query.set(name, value);
  return `${machinePath(event.kind, event.machine_id)}?${query}`;
}

export function MachineEvents({ events }: { events: Events }) {
  const shown = useStore(lit);
  const items = events.data?.items ?? [];
  // what is pointed at goes with the list
  useEffect(() => () => lit.set(null), []);
  const point = useMemo(() => (id: string | null) => () => lit.set(id), []);
  return (
    <Panel
      title={t("machine.events")}
      aside={events.data?.hasMore && <span>{t("machine.events.newest", { count: items.length })}</span>}
      resource={events}
      isEmpty={items.length === 0}
      empty={t("machine.events.none")}
      className="events"
    >
      <Scrolls label={t("machine.events")}>
        <table>
          <tbody>
            {items.map((event) => (
              <tr key={event.id} className={event.id === shown ? "lit" : ""} onMouseEnter={point(event.id)} onMouseLeave={point(null)}>
                <td>
                  <Link href={around(event)} onFocus={point(event.id)} onBlur={point(null)}>
                    {dateAndTime(event.at)}
                  </Link>
                </td>
                <td>
                  <span className={event.type === "machine.down" ? "bad" : ""}>{t(eventKey(event))}</span>
                  {eventKey(event) === "event.stopped" && <small> {event.state}</small>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scrolls>
    </Panel>
  );
}
