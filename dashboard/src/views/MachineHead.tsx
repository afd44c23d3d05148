// The head of a machine: whether it is there, what is wrong, and its figures.

import { api, type Machine } from "../api/client.ts";
import { Link } from "../components/Link.tsx";
import { SeverityCounts, StatusMark } from "../components/Marks.tsx";
import { useNow } from "../components/useNow.ts";
import { bytes, duration, percent, plain, rate } from "../format/numbers.ts";
import { dateAndTime, minute } from "../format/times.ts";
import { machinePath } from "../router.ts";
import { useResource } from "../state/resource.ts";
import { useStore } from "../state/store.ts";
import { open } from "../state/violations.ts";
import { t } from "../text/index.ts";
import { newSilenceLink } from "./links.ts";
import { standingText } from "./machine-standing.ts";

export function MachineHead({ machine }: { machine: Machine }) {
  const violations = useStore(open).byMachine.get(machine.id) ?? [];
  const standing = standingText(machine, useNow());
  const reported = dateAndTime(machine.last_report_at);
  return (
    <header className="machine-head">
      <div>
        <h1>
          <StatusMark status={machine.status} /> {machine.name}
          {standing !== null && <span className={`standing ${machine.status}`}>{standing}</span>}
          {violations.length > 0 && (
            <Link href={`/violations?machine_id=${machine.id}`} className="counts" title={t("machine.openViolations")}>
              <span className="visually-hidden">{t("machine.openViolations")}</span>
              <SeverityCounts violations={violations} />
            </Link>
          )}
          {machine.maintenance && (
            <span className="mark" title={machine.maintenance.comment}>
              {t("machine.maintenance", { time: minute(machine.maintenance.until) })}
            </span>
          )}
        </h1>
        <p className="muted">
          {machine.kind === "container" && <HostLink hostId={machine.host_id} name={machine.host_name ?? machine.host_id} />} {t("machine.lastReport", { time: reported })}{" "}
          <Link href={newSilenceLink(machine.kind === "host" ? { hostId: machine.host_id } : { machineId: machine.id })}>{t("machine.silence")}</Link>
        </p>
      </div>
      <div className={standing === null ? "" : "past"}>
        {standing !== null && <p>{t("machine.figuresOf", { time: reported })}</p>}
        <Figures machine={machine} />
      </div>
    </header>
  );
}

function Figures({ machine: { kind, latest } }: { machine: Machine }) {
  const figures: [string, string][] =
    kind === "host"
      ? [
          [t("column.cpu"), percent(latest["system.cpu.utilization"])],
          [t("column.load"), plain(latest["system.cpu.load_average.1m"])],
          [t("column.memory"), `${percent(latest["system.memory.utilization"])} / ${bytes(latest["system.memory.limit"])}`],
          [t("column.uptime"), duration(latest["system.uptime"])],
        ]
      : [
          [t("column.cpu"), plain(latest["container.cpu.usage"])],
          [t("column.memory"), `${bytes(latest["container.memory.working_set"])} / ${bytes(latest["container.memory.limit"])}`],
          [t("column.network"), `${rate(latest["container.network.receive"])} ${rate(latest["container.network.transmit"])}`],
        ];
  return (
    <dl className="figures">
      {figures.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function HostLink({ hostId, name }: { hostId: string; name: string }) {
  const host = useResource(`host ${hostId}`, (signal) => api.host(hostId, signal));
  const text = t("machine.on", { host: name });
  return host.data ? <Link href={machinePath("host", host.data.id)}>{text}</Link> : <span>{text}</span>;
}
