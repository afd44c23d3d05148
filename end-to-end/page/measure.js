// How much the page asks of a browser: 1,000 hosts with 20 containers each, every one of them new every two seconds. A stand-in plays the
// backend, so that the figures are the page's alone. Of the violations that are open ten a second close and ten others open.
//   node measure.js [SECONDS [VIEW…]]    needs dashboard/dist; HOSTS, CONTAINERS and VIOLATIONS change the fleet; PAGE=http://… is a real
//                                        backend in the stand-in's place

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { context, launch, open, PHONE } from "./browser.js";

const DIST = fileURLToPath(new URL("../../dashboard/dist", import.meta.url));
const HOSTS = Number(process.env.HOSTS ?? 1_000);
const CONTAINERS = Number(process.env.CONTAINERS ?? 20);
const VIOLATIONS = Number(process.env.VIOLATIONS ?? 5_000);
const SECONDS = Number(process.argv[2] ?? 60);
/** How often the heap is looked at, after a collection. */
const LOOK_SECONDS = 60;
const VIEWS = {
  fleet: ["/"],
  containers: ["/containers?sort=-cpu"],
  phone: ["/?sort=-cpu", PHONE],
  violations: ["/violations"],
  "violations-by-host": ["/violations?group=host"],
};
const ASKED = process.argv.length > 3 ? process.argv.slice(3) : Object.keys(VIEWS);
const unknown = ASKED.filter((name) => !VIEWS[name]);
if (unknown.length > 0 || !(SECONDS > 0)) {
  console.error(`usage: node measure.js [SECONDS [VIEW…]]; views: ${Object.keys(VIEWS).join(", ")}`);
  process.exit(2);
}
const KINDS = { ".js": "text/javascript", ".css": "text/css", ".html": "text/html" };
const VALUES = {
  host: ["system.cpu.utilization", "system.cpu.load_average.1m", "system.memory.utilization", "system.filesystem.utilization", "mountpoint", "system.disk.utilization", "system.network.receive", "system.network.transmit", "hw.temperature", "system.uptime"],
  container: ["state", "health", "started_at", "restarts", "container.cpu.usage", "container.cpu.limit", "container.memory.working_set", "container.memory.utilization", "container.network.receive", "container.network.transmit", "container.disk.read", "container.disk.write", "container.process.count"],
};
const HEAD = ["id", "name", "host_id", "status", "interval_ms", "labels", "facts", "at"];
const TEXTS = { mountpoint: "/var/lib", state: "running", health: "healthy" };

const share = () => Math.round(Math.random() * 1e4) / 1e4;
const cells = (kind) => VALUES[kind].map((name) => TEXTS[name] ?? (/utilization|usage/.test(name) ? share() : Math.round(Math.random() * 1e8)));
const hosts = Array.from({ length: HOSTS }, (_, index) => ({ id: String(index + 1), name: `host-${String(index + 1).padStart(4, "0")}` }));
const containers = hosts.flatMap((host, index) =>
  Array.from({ length: CONTAINERS }, (_, number) => ({ id: String(HOSTS + index * CONTAINERS + number + 1), name: `shop-web-${number + 1}`, host: host.name })),
);
const machines = { host: hosts, container: containers };

function fleet(kind, after) {
  const limit = 5_000;
  const rows = machines[kind].slice(after, after + limit).map((machine) => [
    machine.id, machine.name, machine.host ?? machine.name, "up", 2_000, { rack: `r${Number(machine.id) % 40}`, "com.docker.compose.project": "shop" }, { image: "nginx:1.27" }, new Date().toISOString(), ...cells(kind),
  ]);
  return { columns: [...HEAD, ...VALUES[kind]], rows, next_cursor: after + limit < machines[kind].length ? String(after + limit) : null };
}

function violation(number) {
  const host = hosts[number % HOSTS];
  const at = new Date(Date.now() - 60_000).toISOString();
  return {
    id: String(number), machine_id: host.id, machine_name: host.name, host_id: host.name, host_name: host.name, kind: "host", metric: "system.cpu.utilization", device: null, condition: "value", direction: "above",
    severity: ["critical", "warning", "info"][number % 3], threshold_id: "1", threshold_version: 1, threshold_value: 0.9, opened_at: at, opened_value: 0.95, peak_value: 0.97, closed_at: null, detected_at: at,
  };
}

function openViolations(after) {
  const limit = 1_000;
  const items = Array.from({ length: Math.max(0, Math.min(limit, VIOLATIONS - after)) }, (_, index) => violation(after + index + 1));
  return { items, next_cursor: after + limit < VIOLATIONS ? String(after + limit) : null };
}

function series(ids) {
  const now = Math.floor(Date.now() / 15_000) * 15_000;
  const t = Array.from({ length: 60 }, (_, index) => now - (59 - index) * 15_000);
  return { series: ids.map((id) => ({ machine_id: id, metric: "system.cpu.utilization", unit: "1", device: null, resolution_ms: 15_000, t, min: t.map(share), avg: t.map(share), max: t.map(share) })) };
}

function follow(response, query) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  const send = (name, body) => response.write(`event: ${name}\ndata: ${JSON.stringify(body)}\n\n`);
  const topics = (query.get("topics") ?? "").split(",");
  response.write("id: 1\n\n");
  let turn = 0;
  // every machine once in two seconds, in messages of up to 500
  const brief = (kind) => {
    const half = machines[kind].filter((_, index) => index % 2 === turn % 2);
    const at = new Date().toISOString();
    for (let from = 0; from < half.length; from += 500) send(`${kind}s`, { columns: ["id", "at", ...VALUES[kind]], rows: half.slice(from, from + 500).map((machine) => [machine.id, at, ...cells(kind)]) });
  };
  const timers = [
    setInterval(() => {
      turn += 1;
      for (const kind of ["host", "container"]) if (topics.includes(`${kind}s`)) brief(kind);
    }, 1_000),
    setInterval(() => {
      const first = turn * 10;
      for (let number = first + 1; number <= first + 10; number++) {
        send("violation.closed", { ...violation(number), closed_at: new Date().toISOString(), close_reason: "recovered" });
        send("violation.opened", violation(VIOLATIONS + number));
      }
    }, 1_000),
    setInterval(() => send("clock", { at: new Date().toISOString() }), 5_000),
  ];
  send("clock", { at: new Date().toISOString() });
  response.on("close", () => timers.forEach(clearInterval));
}

function answer(request, response) {
  const url = new URL(request.url, "http://localhost");
  const json = (body) => response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(body));
  switch (url.pathname) {
    case "/api/v1/stream":
      return follow(response, url.searchParams);
    case "/api/v1/fleet":
      return json(fleet(url.searchParams.get("kind"), Number(url.searchParams.get("cursor") ?? 0)));
    case "/api/v1/series":
      return json(series(url.searchParams.get("machine_id").split(",")));
    case "/api/v1/violations":
      return json(openViolations(Number(url.searchParams.get("cursor") ?? 0)));
    case "/api/v1/session":
      return json({ required: false, signed_in: true });
    default: {
      if (url.pathname.startsWith("/api/")) return json({ items: [], next_cursor: null });
      const name = url.pathname.startsWith("/assets/") ? url.pathname : "/index.html";
      return response.writeHead(200, { "Content-Type": KINDS[extname(name)], "Content-Encoding": "gzip" }).end(readFileSync(join(DIST, `${name}.gz`)));
    }
  }
}

const server = createServer(answer);
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const base = process.env.PAGE ?? `http://127.0.0.1:${server.address().port}`;
const browser = await launch();
for (const name of ASKED) {
  const [path, viewport] = VIEWS[name];
  const made = await context(browser, viewport ? { viewport } : {});
  const page = await open(made, `${base}${path}`);
  const session = await made.newCDPSession(page);
  await session.send("Performance.enable");
  const figures = async () => Object.fromEntries((await session.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]));
  const heap = async () => {
    await session.send("HeapProfiler.collectGarbage");
    return (await figures()).JSHeapUsedSize / 1024 ** 2;
  };
  await page.locator(".machines .row, .violations .row").first().waitFor();
  const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0);
  const rows = await page.evaluate(() => performance.now());
  await page.waitForTimeout(5_000);
  const heaps = [await heap()];
  const before = await figures();
  await page.evaluate(() => {
    window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: "longtask" });
  });
  const begun = Date.now();
  for (let left = SECONDS; left > 0; left -= LOOK_SECONDS) {
    await page.waitForTimeout(Math.min(left, LOOK_SECONDS) * 1_000);
    heaps.push(await heap());
  }
  const end = await figures();
  const seconds = (Date.now() - begun) / 1_000;
  const tasks = await page.evaluate(() => window.longTasks);
  const busy = ((end.TaskDuration - before.TaskDuration) / seconds) * 100;
  console.log(JSON.stringify({
    view: name, ...(!process.env.PAGE && { rows: name === "containers" ? containers.length : name.startsWith("violations") ? VIOLATIONS : hosts.length }), first_paint_ms: Math.round(paint), first_rows_ms: Math.round(rows), seconds: Math.round(seconds),
    main_thread_busy_percent: Number(busy.toFixed(1)), long_tasks: tasks.length, longest_task_ms: Math.round(Math.max(0, ...tasks)),
    heap_mib: heaps.map((size) => Number(size.toFixed(1))), elements: await page.locator("*").count(), faults: made.faults,
  }));
  await made.close();
}
await browser.close();
server.close();
server.closeAllConnections();
