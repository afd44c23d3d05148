// Every view in both colours, on a desk and in a hand: without faults, without serious barriers, and without scrolling sideways.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { context, DESKTOP, launch, open, PHONE, picture } from "./browser.js";
import { report } from "./reports.js";
import { Standalone, until } from "./standalone.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let browser, standalone, views;

before(async () => {
  browser = await launch();
  standalone = await Standalone.start();
  const hosts = ["db-01", "db-02", "web-01", "web-02", "cache-01"];
  const now = Date.now();
  const containers = ["shop-web-1", "shop-api-1"].map((name) => ({ name, labels: { "com.docker.compose.project": "shop" } }));
  const round = (seq, at) => {
    const cpu = 0.5 + 0.45 * Math.sin(seq / 9);
    return hosts.map((id, index) => report(id, at, { labels: { rack: `r${index % 2}` }, containers, cpu: (cpu * (index + 1)) / 5, seq }));
  };
  for (let seq = 1; seq <= 60; seq++) await standalone.ingest(round(seq, now - (60 - seq) * 10_000));
  const rule = await standalone.call("POST", "/thresholds", { scope: { kind: "host" }, metric: "system.cpu.load_average.1m", direction: "above", value: 1, recovery_value: 1, for_seconds: 0, severity: "critical" });
  await standalone.ingest(round(61, now + 1_000));
  const tomorrow = new Date(now + 86_400_000).toISOString();
  await standalone.call("POST", "/silences", { kind: "maintenance", scope: { host_id: "web-01" }, ends_at: tomorrow, comment: "new disks" });
  await standalone.call("POST", "/silences", { scope: { labels: { rack: "r1" } }, cron: "0 2 * * SUN", duration_seconds: 7_200, tz: "UTC", comment: "weekly reboot" });
  const [host] = (await standalone.get("/machines?kind=host&host_id=db-02")).items;
  const [container] = (await standalone.get("/machines?kind=container&host_id=db-02")).items;
  const [violation] = (await standalone.get("/violations?metric=system.cpu.load_average.1m")).items;
  views = {
    fleet: ["/", ".machines .spark path[d^=M]"],
    groups: ["/?group=rack&sort=-cpu", ".machines .row.group"],
    containers: ["/containers", ".machines .spark path[d^=M]"],
    host: [`/hosts/${host.id}?range=15m`, ".chart-panel.cpu .u-over"],
    container: [`/containers/${container.id}?range=15m`, ".chart-panel.cpu .u-over"],
    violations: ["/violations", ".violations .row.open"],
    "violations-by-date": ["/violations?range=24h&metric=system.cpu.load_average.1m", ".bars i"],
    violation: [`/violations/${violation.id}`, ".violation-panel .steps li"],
    thresholds: ["/thresholds", ".rule-line"],
    threshold: [`/thresholds/${rule.id}`, ".preview .outcome"],
    newThreshold: [`/thresholds/new?metric=container.memory.utilization&machine_id=${container.id}`, "form"],
    silences: ["/silences", ".silence-line"],
    newSilence: [`/silences/new?host_id=db-02&metric=system.*`, "form"],
    pipeline: ["/pipeline", ".hop"],
    nowhere: ["/hosts/999999", ".nothing a"],
  };
});
after(async () => {
  await browser.close();
  await standalone.stop();
});

for (const colorScheme of ["light", "dark"]) {
  for (const [device, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    test(`all views, ${colorScheme}, ${device}`, async () => {
      for (const [name, [path, wanted]] of Object.entries(views)) {
        const made = await context(browser, { colorScheme, viewport, bypassCSP: false });
        const page = await open(made, standalone.url + path);
        await page.locator(wanted).first().waitFor({ state: "attached" });
        await page.locator(".stream.live").waitFor();
        // charts further down are read when they come into view
        const isLoading = () => [...document.querySelectorAll(".loading")].some((element) => element.getBoundingClientRect().top < innerHeight);
        await until(`${name}: all of it`, async () => !(await page.evaluate(isLoading)));
        await picture(page, `${name}-${colorScheme}-${device}`);
        const widths = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(widths[0] <= widths[1], `${name} is ${widths[0]} px wide on ${widths[1]} px`);
        // past the policy of the page, as an extension would be
        const found = await page.evaluate(`${AXE}; axe.run(document, { resultTypes: ["violations"] })`);
        const serious = found.violations.filter((fault) => ["serious", "critical"].includes(fault.impact));
        const told = serious.map((fault) => `${fault.id}: ${fault.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
        assert.deepEqual(told, [], `${name} ${colorScheme} ${device}`);
        const expected = name === "nowhere" ? made.faults.filter((fault) => !fault.includes("404")) : made.faults;
        assert.deepEqual(expected, [], name);
        await made.close();
      }
    });
  }
}

test("files are compressed, kept for long, and nothing else is asked of anybody", async () => {
  const made = await context(browser);
  const page = await made.newPage();
  const asked = [];
  page.on("response", (response) => asked.push(response));
  await page.goto(standalone.url);
  await page.locator(".machines .row").first().waitFor();
  const scripts = asked.filter((response) => /\/assets\/.*\.(js|css)$/.test(response.url()));
  assert.ok(scripts.length >= 2);
  for (const response of scripts) {
    const headers = await response.allHeaders();
    assert.equal(headers["content-encoding"], "gzip", response.url());
    assert.match(headers["cache-control"], /immutable/);
    assert.match(headers["content-security-policy"], /script-src 'self'/);
  }
  const index = await fetch(standalone.url);
  assert.equal(index.headers.get("cache-control"), "no-cache");
  const again = await fetch(standalone.url, { headers: { "If-None-Match": index.headers.get("etag") } });
  assert.equal(again.status, 304);
  assert.deepEqual(asked.filter((response) => !response.url().startsWith(standalone.url) && !response.url().startsWith("data:")).map((response) => response.url()), []);
  for (const path of ["/nothing", "/hosts/1/2", "/hosts/%ZZ"]) {
    const response = await page.goto(standalone.url + path);
    assert.equal(response.status(), path === "/hosts/%ZZ" ? 200 : 404, path);
    assert.match((await response.allHeaders())["content-security-policy"], /script-src 'self'/);
    await page.getByText("There is nothing here.").waitFor();
    assert.equal(await page.getByRole("link", { name: "To the fleet" }).getAttribute("href"), "/");
  }
  for (const path of ["/api/v1/nothing", "/api/nothing", "/nothing", "/assets/nothing.js", "/hosts/1/2"]) assert.equal((await fetch(standalone.url + path)).status, 404, path);
  await made.close();
});

test("in a hand machines are sorted, their network is seen, and what is silent says so", async () => {
  const made = await context(browser, { viewport: PHONE });
  const page = await open(made, `${standalone.url}/`);
  await page.locator(".machines .row .network").first().waitFor();
  await page.getByLabel("Sort").selectOption({ label: "CPU" });
  await page.waitForURL(/sort=-cpu/);
  await page.getByRole("button", { name: "The other way round" }).click();
  await page.waitForURL(/sort=cpu/);
  const [nav, last] = [await page.locator(".top nav").boundingBox(), await page.locator(".top nav a").last().boundingBox()];
  assert.ok(last.x + last.width <= nav.x + nav.width, `Pipeline ends at ${last.x + last.width} of ${nav.x + nav.width}`);
  await page.getByRole("link", { name: "db-02" }).click();
  await page.locator(".machine-head .standing", { hasText: /^(late|down) since / }).waitFor();
  await page.locator(".machine-head .past", { hasText: "as of the last report" }).waitFor();
  assert.equal(await page.locator(".machine-head .counts").getAttribute("href"), `/violations?machine_id=${page.url().split("/").pop()}`);
  assert.deepEqual(made.faults, []);
  await made.close();
});
