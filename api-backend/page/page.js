// The built-in page: lists first, then the stream keeps them true. Every name goes through textContent.

const element = (id) => document.getElementById(id);
const machines = new Map();
const open = new Map();

class Unauthorized extends Error {}

async function call(path, options) {
  const response = await fetch(`/api/v1${path}`, options);
  if (response.status === 401) throw new Unauthorized((await response.json()).detail);
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).detail ?? `HTTP ${response.status}`);
  return response.status === 204 ? null : response.json();
}

async function all(path) {
  const items = [];
  let cursor = null;
  do {
    const page = await call(path + (path.includes("?") ? "&" : "?") + "limit=1000" + (cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""));
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return items;
}

function showError(error) {
  element("error").textContent = error ? error.message : "";
  element("error").hidden = !error;
}

// ---- formatting

const percent = (value) => (value === undefined || value === null ? "–" : `${(value * 100).toFixed(1)} %`);
const time = (text) => (text ? new Date(text).toLocaleString() : "–");
const isRatio = (metric) => metric.endsWith("utilization") || metric.startsWith("system.pressure");
const number = (metric, value) => (value === null ? "–" : isRatio(metric) ? percent(value) : Number(value.toPrecision(4)).toLocaleString());
const named = (item) => (item.kind === "container" ? `${item.machine_name} on ${item.host_name}` : item.machine_name);
const metric = (item) => (item.device ? `${item.metric} ${item.device}` : item.metric);

// ---- tables

function row(cells) {
  const line = document.createElement("tr");
  for (const [text, className] of cells) {
    const cell = line.insertCell();
    cell.textContent = text;
    if (className) cell.className = className;
  }
  return line;
}

function fill(id, rows, columns, empty) {
  element(id).replaceChildren(...(rows.length ? rows : [row([[empty, "empty"]])]));
  if (!rows.length) element(id).rows[0].cells[0].colSpan = columns;
}

function machineRow(machine) {
  const latest = machine.latest;
  const isHost = machine.kind === "host";
  const cpu = isHost ? percent(latest["system.cpu.utilization"]) : latest["container.cpu.usage"]?.toFixed(2) ?? "–";
  const memory = percent(latest[isHost ? "system.memory.utilization" : "container.memory.utilization"]);
  const shares = (machine.devices.filesystem ?? []).map((one) => [one["system.filesystem.utilization"] ?? 0, one.mountpoint]);
  const [share, mount] = shares.sort((one, other) => other[0] - one[0])[0] ?? [];
  return row([
    [machine.status, machine.status], [machine.name, "name"], [machine.kind], [isHost ? "" : machine.host_name ?? machine.host_id, "name"],
    [isHost ? cpu : `${cpu} cores`, "number"], [memory, "number"], [mount ? `${percent(share)} ${mount}` : "", "number"], [time(machine.last_report_at)],
  ]);
}

const byName = (one, other) =>
  (one.host_name ?? "").localeCompare(other.host_name ?? "") || other.kind.localeCompare(one.kind) || one.name.localeCompare(other.name);

let isDue = false;
function draw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    const shown = [...machines.values()].filter((machine) => machine.status !== "gone").sort(byName);
    element("machine-count").textContent = shown.length;
    fill("machines", shown.map(machineRow), 8, "No machine has reported yet.");
    const violations = [...open.values()].sort((one, other) => other.opened_at.localeCompare(one.opened_at));
    const told = violations.filter((one) => !one.silenced).length;
    element("open-count").textContent = told === violations.length ? told : `${told} (${violations.length - told} silenced)`;
    document.title = told ? `(${told}) server-monitoring` : "server-monitoring";
    fill("open", violations.map((one) => row([
      [one.severity, one.severity], [named(one), "name"], [metric(one), "name"], [number(one.metric, one.peak_value), "number"],
      [`${one.direction} ${number(one.metric, one.threshold_value)}`, "number"], [time(one.opened_at)],
    ])), 6, "Nothing is violated.");
  });
}

// ---- live

async function load() {
  const [allMachines, allOpen] = await Promise.all([all("/machines"), all("/violations?state=open")]);
  machines.clear();
  open.clear();
  for (const machine of allMachines) machines.set(machine.id, machine);
  for (const violation of allOpen) open.set(violation.id, violation);
  draw();
}

async function reload(id) {
  machines.set(id, await call(`/machines/${encodeURIComponent(id)}`));
  draw();
}

function setStream(state, text) {
  element("stream").className = state;
  element("stream").textContent = text;
}

function follow() {
  const stream = new EventSource("/api/v1/stream?topics=violations,machines,reports");
  const on = (name, handle) => stream.addEventListener(name, (event) => Promise.resolve(handle(JSON.parse(event.data))).catch(showError));
  // the lists are read after the stream began, so that nothing falls between the two
  stream.onopen = () => load().then(() => { setStream("live", "live"); showError(null); }).catch(showError);
  stream.onerror = () => {
    setStream("lost", "connection lost, trying again…");
    // after an answer that is no stream, such as 503, the browser gives up: come back as late as it would have, and not all pages at once
    if (stream.readyState === EventSource.CLOSED) setTimeout(comeBack, 1000 + Math.random() * 4000);
  };
  on("violation.opened", (violation) => { open.set(violation.id, violation); draw(); });
  on("violation.silenced", (violation) => { open.set(violation.id, violation); draw(); });
  on("violation.acknowledged", (violation) => { if (open.has(violation.id)) open.set(violation.id, violation); });
  on("violation.closed", (violation) => { open.delete(violation.id); draw(); });
  on("machine.up", (event) => reload(event.machine_id));
  on("machine.down", (event) => reload(event.machine_id));
  on("resync", load);
  on("report", (report) => {
    const machine = machines.get(report.machine_id);
    if (!machine) return;
    Object.assign(machine, { latest: report.latest, last_report_at: report.at, status: machine.status === "late" ? "up" : machine.status });
    draw();
  });
}

async function comeBack() {
  try {
    if ((await call("/session")).signed_in) follow();
    else await start();
  } catch {
    setTimeout(comeBack, 1000 + Math.random() * 4000);
  }
}

// ---- violations by date

let nextPage = null;
async function history(cursor) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const day = new Date(`${element("to").value}T00:00:00Z`);
  day.setUTCDate(day.getUTCDate() + 1); // "to" is a day that counts; the API's range is half-open
  const query = new URLSearchParams({ from: element("from").value, to: day.toISOString().slice(0, 10), tz: zone });
  if (cursor) query.set("cursor", cursor);
  const page = await call(`/violations?${query}`);
  const rows = page.items.map((one) => row([
    [one.severity, one.severity], [named(one), "name"], [metric(one), "name"], [number(one.metric, one.peak_value), "number"],
    [`${one.direction} ${number(one.metric, one.threshold_value)}`, "number"], [time(one.opened_at)], [one.closed_at ? time(one.closed_at) : "open"],
  ]));
  if (cursor) element("history").append(...rows);
  else fill("history", rows, 7, "No violation in these days.");
  nextPage = page.next_cursor;
  element("more").hidden = !nextPage;
}

// ---- start

async function start() {
  const session = await call("/session");
  element("sign-in").hidden = session.signed_in;
  element("main").hidden = !session.signed_in;
  if (!session.signed_in) {
    setStream("waiting", "sign in to see your machines");
    element("token").focus();
    return;
  }
  const today = new Date().toLocaleDateString("sv");
  element("from").value = element("to").value = today;
  follow();
  await history(null);
}

element("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await call("/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token: element("token").value }) });
    element("token").value = "";
    showError(null);
    await start();
  } catch (error) {
    showError(error);
  }
});
element("range").addEventListener("submit", (event) => { event.preventDefault(); history(null).catch(showError); });
element("more").addEventListener("click", () => history(nextPage).catch(showError));
start().catch(showError);
