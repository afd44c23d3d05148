// A real room: this machine with containers of a real engine, and beside it a rack of hosts that loadgen plays. The README's pictures are made
// here (README_PICTURES=FOLDER).

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { hostname } from "node:os";
import { after, before, test } from "node:test";

import { context, launch, open, PHONE, smallPicture } from "./browser.js";
import { program, Standalone, until } from "./standalone.js";

const NAMES = ["db-01", "db-02", "db-03", "web-01", "web-02", "web-03", "web-04", "api-01", "api-02", "cache-01", "cache-02", "queue-01", "queue-02", "build-01", "build-02", "backup-01"];
/** The README's pictures. */
const SMALL = { width: 1180, height: 700 };
const PAST_HOURS = 3;
const PROJECT = "shop";
const BUSY = { scope: { kind: "host" }, metric: "system.cpu.utilization", direction: "above" };
const containerName = (part) => `${PROJECT}-${part}-${process.pid}`;

let browser, standalone, loadgen;

const docker = (...words) => execFileSync("docker", words, { env: { ...process.env, DOCKER_HOST: process.env.TEST_DOCKER_HOST, DOCKER_CONTEXT: "" }, encoding: "utf8" }).trim();
const run = (part, script) => docker("run", "--detach", "--name", containerName(part), "--memory", "64m", "--label", `com.docker.compose.project=${PROJECT}`, "test/busybox", "sh", "-c", script);

/** A fleet that plays the past and ends, or one that goes on. */
function play(words) {
  const flags = ["--api-base-url", standalone.url, "--uncompressed", "--hosts", NAMES.length, "--host-names", NAMES.join(","), "--containers", 8, ...words];
  return spawn(program("loadgen"), flags.map(String), { stdio: ["ignore", "ignore", "inherit"] });
}

before(async () => {
  assert.ok(process.env.TEST_DOCKER_HOST, "TEST_DOCKER_HOST: scripts/services/docker-engine start prints it");
  browser = await launch();
  run("web", "while :; do sleep 0.01; done");
  run("db", "head -c 20000000 /dev/zero > /tmp/data; sleep 100000");
  standalone = await Standalone.start({ DOCKER_HOST: process.env.TEST_DOCKER_HOST });
  const seeded = (await standalone.get("/thresholds")).items.filter(({ metric }) => metric === BUSY.metric);
  for (const { id } of seeded) await standalone.call("DELETE", `/thresholds/${id}`);
  await standalone.call("POST", "/thresholds", { ...BUSY, value: 0.85, recovery_value: 0.8, for_seconds: 60, severity: "critical" });
  const [code] = await once(play(["--backfill-hours", PAST_HOURS, "--interval-ms", 10_000]), "exit");
  assert.equal(code, 0, "the past was played");
  loadgen = play(["--interval-ms", 2_000]);
});
after(async () => {
  loadgen?.kill("SIGTERM");
  await standalone?.stop();
  await browser?.close();
  docker("rm", "--force", containerName("web"), containerName("db"));
});

test("a fleet, this machine and its containers, live", async () => {
  const made = await context(browser, { viewport: SMALL, colorScheme: "light" });
  const page = await open(made, `${standalone.url}/`);
  const row = (name) => page.locator(".machines .row", { hasText: name });
  await row(hostname()).waitFor();
  await page.locator(".stream.live").waitFor();
  await until("all of the rack", async () => (await page.locator(".machines .row.up").count()) === NAMES.length + 1);
  const seen = await row("build-01").innerText();
  await until("its values move", async () => (await row("build-01").innerText()) !== seen);

  // the busiest of the rack is in trouble
  const [, , third] = (await standalone.get("/top?metric=system.cpu.utilization&limit=3&kind=host")).items;
  await standalone.call("POST", "/thresholds", { ...BUSY, value: third.avg, recovery_value: third.avg / 2, for_seconds: 0, severity: "warning" });
  await page.locator(".machines .row .severity.warning").first().waitFor();
  await until("rates of all", async () => !(await page.locator(".machines .row.up").allInnerTexts()).some((text) => text.includes("–")));
  await smallPicture(page, "fleet");

  const [{ id }] = (await standalone.get("/machines?kind=host&q=db-01")).items;
  await page.goto(`${standalone.url}/hosts/${id}?range=1h`);
  await page.locator(".chart-panel.cpu .u-over").waitFor();
  await page.locator(".stream.live").waitFor();
  await page.locator(".chart-panel.memory .u-over").waitFor();
  await smallPicture(page, "host");
  assert.deepEqual(made.faults, []);
  await made.close();
});

test("a real container is followed to its end", async () => {
  const made = await context(browser, { viewport: PHONE });
  const page = await open(made, `${standalone.url}/containers?q=${containerName("db")}`);
  const row = page.locator(".machines .row", { hasText: containerName("db") });
  await row.waitFor();
  await row.getByRole("link").first().click();
  await page.locator(".machine-head", { hasText: containerName("db") }).waitFor();
  await page.locator(".chart-panel.memory .u-over").waitFor();
  const facts = page.locator(".facts");
  await facts.getByText("test/busybox").first().waitFor();
  await facts.locator("div", { hasText: "com.docker.compose.project" }).getByText(PROJECT, { exact: true }).waitFor();
  docker("stop", "--time", "0", containerName("db"));
  await page.locator(".machine-head .status.stopped").waitFor();
  await page.locator(".events tr", { hasText: "exited" }).waitFor();
  docker("start", containerName("db"));
  await page.locator(".machine-head .status.up").waitFor();
  assert.deepEqual(made.faults, []);
  await made.close();
});
