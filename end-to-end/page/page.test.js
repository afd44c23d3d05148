// What an operator sees: this machine, a violation that comes and goes by itself, a backend that dies and returns.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { context, launch, open, PHONE, picture } from "./browser.js";
import { hostileNames, report } from "./reports.js";
import { freePort, Standalone, until } from "./standalone.js";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const HOSTILE = hostileNames(1)[0];
const everyCpu = (value) => ({
  scope: { kind: "host" }, metric: "system.cpu.utilization", direction: "above", value, recovery_value: value, for_seconds: 0, severity: "critical",
});
const row = (page, text) => page.locator(".machines [role=row]", { hasText: text });
const isLive = (page) => page.locator(".stream.live").waitFor();

test("a machine is listed and a violation comes and goes without a reload", async () => {
  const standalone = await Standalone.start({ HOST_NAME: HOSTILE });
  const made = await context(browser);
  const page = await open(made, standalone.url);
  const machine = row(page, HOSTILE);
  await machine.waitFor();
  await isLive(page);
  assert.equal(await page.locator(".sign-in").count(), 0, "on loopback nobody is asked for a token");
  assert.match(await machine.innerText(), /\d %/);
  const seen = await machine.innerText();
  await page.waitForFunction((before) => document.querySelector(".machines .row").innerText !== before, seen);

  const rule = await standalone.call("POST", "/thresholds", everyCpu(-1));
  await page.locator(".notice p.critical", { hasText: HOSTILE }).waitFor();
  assert.match(await page.locator(".notice").innerText(), /\d %\s+above -100 %/);
  await page.locator(".notice").getByRole("button", { name: "Close" }).press("Enter");
  await page.locator(".notice p").waitFor({ state: "detached" });
  await machine.locator(".severity.critical").waitFor();
  assert.equal(await page.title(), "(1) server-monitoring");
  assert.match(decodeURIComponent(await page.locator("link[rel=icon]").getAttribute("href")), />1</);
  await page.getByRole("link", { name: /^Violations/ }).click();
  const violation = page.locator(".violations .row.open", { hasText: "system.cpu.utilization" });
  await violation.waitFor();
  await picture(page, "violation");

  await standalone.call("DELETE", `/thresholds/${rule.id}`);
  await page.getByText("Nothing is violated.").waitFor();
  assert.equal(await page.title(), "server-monitoring");
  assert.deepEqual(made.faults, [], "neither errors nor anything that a name injected");
  await made.close();
  await standalone.stop();
});

test("a page stays open over the death of the backend", async () => {
  const first = await Standalone.start();
  const made = await context(browser);
  const page = await open(made, first.url);
  await row(page, "%").first().waitFor();
  await isLive(page);
  await first.kill();
  await page.locator(".stream.lost").waitFor();
  await page.locator("p.lost", { hasText: "lost since" }).waitFor();
  assert.ok(await page.locator(".machines .row.up, .machines .row.late").count(), "the last good list stays");
  await picture(page, "lost");
  const second = await Standalone.start({}, first.port, first.folder);
  await isLive(page);
  assert.equal(await page.locator("p.lost").count(), 0);
  await second.call("POST", "/thresholds", everyCpu(-1));
  await page.locator(".machines .severity.critical").waitFor();
  await page.locator(".machines .row.up").waitFor();
  await made.close();
  await second.stop();
});

test("a chart goes on over the death of the backend, and keeps its zoom in the URL", async () => {
  const first = await Standalone.start();
  const made = await context(browser);
  const page = await open(made, first.url);
  await page.locator(".machines .row a").first().click();
  await page.waitForURL(/\/hosts\/\d+$/);
  const value = () => page.locator(".chart-panel.cpu .legend b").first().innerText();
  await until("a value in the legend", async () => /%/.test(await value()));
  const seen = await page.locator(".machine-head .muted").innerText();
  await until("a newer report", async () => (await page.locator(".machine-head .muted").innerText()) !== seen);
  await first.kill();
  await page.locator(".stream.lost").waitFor();
  assert.match(await value(), /%/, "the last good values stay");
  const second = await Standalone.start({}, first.port, first.folder);
  await isLive(page);

  const chart = await page.locator(".chart-panel.cpu .u-over").boundingBox();
  await page.mouse.move(chart.x + chart.width * 0.7, chart.y + 40);
  await page.mouse.down();
  await page.mouse.move(chart.x + chart.width * 0.9, chart.y + 40, { steps: 5 });
  await page.mouse.up();
  await page.waitForURL(/from=.*&to=/);
  await page.reload();
  await page.getByRole("button", { name: "Back to live" }).click();
  await page.waitForURL(/\/hosts\/\d+$/);
  assert.equal(await page.getByRole("button", { name: "1 h", exact: true }).getAttribute("aria-pressed"), "true");
  await made.close();
  await second.stop();
});

test("with a token the page asks for it once", async () => {
  const standalone = await Standalone.start({ API_TOKEN: "open-sesame", INGEST_TOKEN: "for-consumers" });
  const made = await context(browser);
  const page = await open(made, standalone.url);
  await page.getByLabel("API token").fill("guess");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator("[role=alert]", { hasText: "not the API token" }).waitFor();
  assert.equal(await page.locator(".machines").count(), 0);
  await picture(page, "sign-in");
  await page.getByLabel("API token").fill("open-sesame");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator(".machines .row.up").waitFor();
  await isLive(page);
  const [cookie] = await made.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
  await page.reload();
  await page.locator(".machines .row.up").waitFor();
  await made.close();
  await standalone.stop();
});

for (const way of ["a worker", "a lock and a channel"]) {
  test(`all tabs of a browser share one stream: ${way}`, async () => {
    const standalone = await Standalone.start({ ADMIN_LISTEN_ADDR: `127.0.0.1:${await freePort()}` });
    const made = await context(browser);
    if (way !== "a worker") await made.addInitScript(() => delete window.SharedWorker);
    const pages = [];
    for (const path of ["/", "/pipeline", "/containers"]) pages.push(await open(made, standalone.url + path));
    for (const page of pages) await isLive(page);
    await until("one stream", async () => (await standalone.figure("streams_open")) === 1);
    await pages.shift().close();
    for (const page of pages) await isLive(page);
    await standalone.call("POST", "/thresholds", everyCpu(-1));
    for (const page of pages) await page.locator("nav .severity.critical").waitFor();
    await until("still one stream", async () => (await standalone.figure("streams_open")) === 1);
    await made.close();
    await until("no stream", async () => (await standalone.figure("streams_open")) === 0);
    await standalone.stop();
  });
}

test("fifty hostile names are names and nothing else", async () => {
  const standalone = await Standalone.start();
  const names = hostileNames(50);
  const at = Date.now();
  const containers = names.map((name) => ({ name, image: name, labels: { [name.slice(0, 100)]: name } }));
  await standalone.ingest([report("evil", at, { name: names[0], labels: { [names[1]]: names[2] }, containers, mountpoint: names[3] })]);
  await standalone.call("POST", "/thresholds", { scope: { kind: "container" }, metric: "container.cpu.usage", direction: "above", value: 0.1, recovery_value: 0.1, for_seconds: 0, severity: "warning" });
  await standalone.ingest([report("evil", at + 2_000, { name: names[0], labels: { [names[1]]: names[2] }, containers, mountpoint: names[3], seq: 2 })]);

  const made = await context(browser, { viewport: { width: 1440, height: 2600 } });
  const page = await open(made, `${standalone.url}/containers`);
  await page.getByRole("columnheader").first().waitFor();
  const shown = page.locator(".machines .row .name a");
  await until("all names", async () => (await shown.count()) >= names.length);
  const texts = new Set(await shown.evaluateAll((all) => all.map((element) => element.textContent)));
  assert.deepEqual(names.filter((name) => !texts.has(name)), []);
  await picture(page, "hostile");
  await page.getByLabel("Group by").selectOption(names[1].slice(0, 100));
  await page.getByRole("link", { name: names[1], exact: true }).first().click();
  await page.getByRole("heading", { name: names[1] }).waitFor();
  await page.goto(`${standalone.url}/violations`);
  await page.getByRole("link", { name: names[4], exact: true }).first().waitFor();
  const [host] = (await standalone.get(`/machines?kind=host&host_id=evil`)).items;
  await page.goto(`${standalone.url}/hosts/${host.id}`);
  await page.locator(".chart-panel.filesystem .legend", { hasText: names[3] }).waitFor();
  assert.equal(await page.evaluate(() => window.owned), undefined);
  assert.deepEqual(made.faults, []);
  await made.close();
  await standalone.stop();
});

test("the page speaks Korean to those who do, and what was chosen else", async () => {
  const standalone = await Standalone.start();
  const made = await context(browser, { locale: "ko-KR" });
  const page = await open(made, standalone.url);
  await page.getByRole("link", { name: "파이프라인" }).click();
  await page.getByText("보고가 지나는 길").waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "ko");
  await picture(page, "pipeline-ko");
  await page.locator(".settings summary").click();
  await page.locator(".settings select").nth(1).selectOption("en");
  await page.getByText("The way of a report").waitFor();
  await page.reload();
  await page.getByText("The way of a report").waitFor();
  assert.deepEqual(made.faults, []);
  await made.close();
  await standalone.stop();
});

test("links carry filters and order, and the keyboard is enough", async () => {
  const standalone = await Standalone.start();
  const at = Date.now();
  await standalone.ingest(["web-1", "web-2", "db-1"].map((id, index) => report(id, at, { labels: { role: id.split("-")[0] }, cpu: 0.1 * (index + 1) })));
  const made = await context(browser, { viewport: PHONE });
  const page = await open(made, `${standalone.url}/?q=web&sort=-cpu`);
  const names = () => page.locator(".machines .name a").allInnerTexts();
  await until("the filtered list", async () => (await names()).join() === "web-2,web-1");
  await page.getByRole("searchbox").fill("");
  await page.waitForURL((url) => !url.searchParams.has("q") && url.searchParams.get("sort") === "-cpu");
  await page.getByLabel("Group by").selectOption("role");
  await page.locator(".row.group", { hasText: "db" }).waitFor();
  await page.goBack().catch(() => undefined);

  await page.goto(`${standalone.url}/?q=db-1`);
  await until("one host", async () => (await names()).join() === "db-1");
  await page.getByRole("searchbox").focus();
  for (let presses = 0; presses < 30; presses++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement?.closest(".machines .name") !== null)) break;
  }
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "db-1" }).waitFor();
  await made.close();
  await standalone.stop();
});

test("what happened to a machine is marked in its charts, and listed below them", async () => {
  const standalone = await Standalone.start();
  const begun = Date.now() - 300_000;
  const web = (seconds, id) => [{ name: "web", id, startedAt: begun + seconds * 1_000 }];
  const reportAt = (seconds, uptime, containers) => report("db-01", begun + seconds * 1_000, { uptime, containers, seq: seconds + 1 });
  await standalone.ingest([reportAt(0, 9_000, web(-60, "a")), reportAt(60, 9_060, web(58, "a")), reportAt(120, 9_120, web(118, "b"))]);
  const [host] = (await standalone.get("/machines?kind=host&host_id=db-01")).items;
  const [container] = (await standalone.get("/machines?kind=container&host_id=db-01")).items;

  const made = await context(browser);
  const page = await open(made, `${standalone.url}/hosts/${host.id}?range=15m`);
  await page.locator(".chart-panel.cpu .u-over").waitFor();
  await isLive(page);
  const rows = page.locator(".events tbody tr");
  assert.match(await rows.allInnerTexts().then(String), /up$/);
  // the stream tells of it, and of the next
  await standalone.ingest([reportAt(240, 20, web(118, "b"))]);
  await rows.filter({ hasText: "rebooted" }).waitFor();
  const name = page.locator(".chart-panel.cpu .mark-name");
  assert.equal(await name.isVisible(), false);
  await rows.first().locator("a").focus();
  await name.filter({ hasText: "rebooted" }).waitFor();
  await picture(page, "events");
  // the same by pointing at it in the chart
  const plot = await page.locator(".chart-panel.cpu .u-over").boundingBox();
  const left = await name.evaluate((element) => parseFloat(element.style.left));
  await page.keyboard.press("Shift+Tab");
  await name.waitFor({ state: "hidden" });
  await page.mouse.move(plot.x + left + 2, plot.y + plot.height / 2, { steps: 3 });
  await name.filter({ hasText: "rebooted" }).waitFor();
  await page.locator(".events tr.lit", { hasText: "rebooted" }).waitFor();
  await page.mouse.move(plot.x + left - 60, plot.y + plot.height / 2, { steps: 3 });
  await name.waitFor({ state: "hidden" });
  await rows.first().locator("a").click();
  await page.waitForURL(/from=.*&to=/);

  await page.goto(`${standalone.url}/containers/${container.id}?range=15m`);
  await rows.filter({ hasText: "replaced" }).waitFor();
  assert.deepEqual((await rows.allInnerTexts()).map((text) => text.split(/\s+/).at(-1)), ["replaced", "restarted", "started"]);
  await made.close();

  const korean = await context(browser, { locale: "ko", viewport: PHONE });
  const small = await open(korean, `${standalone.url}/hosts/${host.id}?range=15m`);
  await small.locator(".events tbody tr", { hasText: "재부팅됨" }).waitFor();
  assert.deepEqual([...made.faults, ...korean.faults], []);
  await korean.close();
  await standalone.stop();
});
