// What an operator does about violations: sees them live, acknowledges, filters, looks back by days, asks why, and takes them along as a file.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { context, launch, open, picture } from "./browser.js";
import { hostileNames, report } from "./reports.js";
import { Standalone, until } from "./standalone.js";

let browser, standalone;
const HOSTILE = hostileNames(6);
const DAY_MS = 86_400_000;
const RULE = { scope: { kind: "host", labels: { rack: "*" } }, metric: "system.cpu.utilization", direction: "above", value: 0.9, recovery_value: 0.8, for_seconds: 4, recovery_for_seconds: 4, severity: "critical" };
const BURST = [0.3, 0.95, 0.96, 0.97, 0.95, 0.5, 0.5, 0.5];
const row = (page, text) => page.locator(".violations .row", { hasText: text });
const rows = (page) => page.locator(".violations [role=row].open, .violations [role=row].closed");
const isLive = (page) => page.locator(".stream.live").waitFor();

/** Reports every two seconds; the values are those of the CPU. */
let seq = 0;
async function play(name, from, values) {
  for (const [index, cpu] of values.entries()) await standalone.ingest([report(name, from + 2_000 * index, { name, labels: { rack: "r1" }, cpu, seq: ++seq })]);
}

before(async () => {
  browser = await launch();
  standalone = await Standalone.start();
  for (const rule of (await standalone.get("/thresholds")).items) await standalone.call("DELETE", `/thresholds/${rule.id}`);
  await standalone.call("POST", "/thresholds", RULE);
  await standalone.call("POST", "/thresholds", { ...RULE, value: 0.94, for_seconds: 0, severity: "warning" });
  const now = Date.now();
  // two bursts of each host three days ago, one of them yesterday, too
  for (const name of HOSTILE.slice(0, 2)) await play(name, now - 3 * DAY_MS, [...BURST, ...BURST]);
  await play(HOSTILE[0], now - DAY_MS, BURST);
});
after(async () => {
  await browser.close();
  await standalone.stop();
});

test("one browser acknowledges, another one sees it; a failure is told at the row", async () => {
  await play(HOSTILE[2], Date.now() - 10_000, BURST.slice(0, 5));
  const [made, other] = [await context(browser), await context(browser)];
  const page = await open(made, `${standalone.url}/violations?sort=-opened_at`);
  const second = await open(other, `${standalone.url}/violations`);
  await Promise.all([isLive(page), isLive(second)]);
  const first = row(page, HOSTILE[2]).filter({ hasText: "above 90.0 %" });
  await first.waitFor();

  await page.route("**/acknowledge", (route) => route.fulfill({ status: 503, contentType: "application/problem+json", body: JSON.stringify({ detail: "the database is away" }) }), { times: 1 });
  await first.getByRole("button", { name: "Acknowledge" }).click();
  await page.getByLabel("Comment", { exact: true }).fill("<b>the nightly job</b>");
  await first.getByLabel("Your name").fill("김하늘");
  await first.locator("form").getByRole("button", { name: "Acknowledge" }).click();
  await first.getByRole("alert").filter({ hasText: "the database is away" }).waitFor();
  await picture(page, "acknowledge");
  await first.locator("form").getByRole("button", { name: "Acknowledge" }).click();
  await first.getByText("acknowledged by 김하늘: <b>the nightly job</b>").waitFor();
  const seen = row(second, HOSTILE[2]).filter({ hasText: "acknowledged by 김하늘" });
  await seen.waitFor();
  const stored = (await standalone.get("/violations?acknowledged=true")).items;
  assert.deepEqual(stored.map(({ acknowledged }) => [acknowledged.by, acknowledged.comment]), [["김하늘", "<b>the nightly job</b>"]]);

  await second.getByRole("button", { name: "hide 1 acknowledged" }).click();
  await seen.waitFor({ state: "detached" });
  await second.waitForURL(/acknowledged=false/);
  await first.getByRole("button", { name: "Take back" }).click();
  await first.locator("form").getByRole("button", { name: "Take back" }).click();
  await row(second, HOSTILE[2]).filter({ hasText: "above 90.0 %" }).waitFor();

  // all of a host at once
  await page.getByLabel("Group by").selectOption("host");
  await page.locator(".row.group", { hasText: HOSTILE[2] }).getByRole("button", { name: "Acknowledge 2" }).click();
  await page.getByLabel("Comment", { exact: true }).fill("all of it");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await until("both are stored", async () => (await standalone.get("/violations?acknowledged=true")).items.length === 2);
  await page.locator(".row.calm").nth(1).waitFor();

  await play(HOSTILE[2], Date.now(), BURST.slice(5));
  // the keyboard is in the list, which stays as it is meanwhile
  await page.getByRole("searchbox").focus();
  await page.getByText("Nothing is violated.").waitFor();
  const faults = made.faults.filter((fault) => !fault.includes("503"));
  assert.deepEqual([...faults, ...other.faults], []);
  assert.equal(await page.evaluate(() => window.owned), undefined);
  await made.close();
  await other.close();
});

test("filters are in the link, and the file has what the list has", async () => {
  const made = await context(browser);
  const page = await open(made, `${standalone.url}/violations?range=7d`);
  await until("all of them", async () => (await rows(page).count()) >= 10);
  await page.getByRole("button", { name: "Filters", exact: true }).click();
  await page.getByRole("combobox", { name: "Machine", exact: true }).fill("<img");
  await page.getByRole("option", { name: HOSTILE[0] }).click();
  await page.getByRole("group", { name: "Severity" }).getByRole("button", { name: "critical" }).click();
  await page.getByLabel("Label").fill("rack=r1");
  await page.getByLabel("Label").press("Enter");
  await page.getByLabel("Which were").selectOption("opened");
  await page.getByLabel("Sort").selectOption("opened_at");
  const listed = () => page.locator(".violations .row.closed").evaluateAll((all) => all.map((element) => element.dataset.id));
  const wanted = async () => (await standalone.get(`/violations?machine_id=${await idOf(HOSTILE[0])}&severity=critical&sort=opened_at`)).items.map(({ id }) => id);
  const ids = await wanted();
  assert.equal(ids.length, 3);
  await until("the filtered list", async () => (await listed()).join() === ids.join());
  await page.locator(".chosen b", { hasText: HOSTILE[0] }).waitFor();

  await page.reload();
  await until("the same after a reload", async () => (await listed()).join() === ids.join());
  await picture(page, "violations-filtered");
  for (const [name, read] of [
    ["CSV", (text) => text.trim().split("\n").slice(1).map((line) => line.split(",")[0])],
    ["NDJSON", (text) => text.trim().split("\n").map((line) => JSON.parse(line).id)],
  ]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name, exact: true }).click()]);
    assert.equal(download.suggestedFilename(), `violations.${name.toLowerCase()}`);
    const chunks = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk);
    assert.deepEqual(read(Buffer.concat(chunks).toString()), ids, name);
  }

  await page.getByRole("button", { name: "Remove filter Label rack=r1" }).click();
  await page.waitForURL((url) => !url.searchParams.has("label") && url.searchParams.get("severity") === "critical");
  assert.equal(await page.evaluate(() => window.owned), undefined);
  assert.deepEqual(made.faults, []);
  await made.close();
});

async function idOf(name) {
  return (await standalone.get(`/machines?kind=host&host_id=${encodeURIComponent(name)}`)).items[0].id;
}

test("a day among the bars narrows the list, in the zone that was chosen", async () => {
  const made = await context(browser, { timezoneId: "Asia/Seoul" });
  const page = await open(made, `${standalone.url}/violations?range=30d&host_id=${encodeURIComponent(HOSTILE[1])}`);
  const bars = page.getByRole("listbox", { name: "Opened by day" });
  const day = new Intl.DateTimeFormat("sv", { timeZone: "Asia/Seoul" }).format(Date.now() - 3 * DAY_MS);
  const shown = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", weekday: "short", day: "numeric", month: "short", year: "numeric" }).format(new Date(day));
  const bar = bars.getByRole("option", { name: `${shown}: 4 opened (2 critical, 2 warning)` });
  await bar.waitFor();
  assert.equal(await page.locator(".day-bars table tr", { hasText: shown }).innerText().then((text) => text.replace(/\s+/g, " ").endsWith("4 2 2 0")), true, "who does not see the bars reads a table");
  await bar.click();
  await page.waitForURL((url) => url.searchParams.get("from") === day && url.searchParams.get("to") === day && url.searchParams.get("match") === "opened");
  await until("its four violations", async () => (await rows(page).count()) === 4);
  assert.equal(await bars.getByRole("option").count(), 31, "the days around it stay");
  assert.deepEqual(await bars.getByRole("option", { selected: true }).count(), 1);
  await picture(page, "violations-day");

  // by keyboard: the day before, of which there is nothing
  await bars.focus();
  await page.keyboard.press("End");
  for (let presses = 0; presses < 4; presses++) await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Enter");
  await page.getByText("No violation of this time matches.").waitFor();
  await page.goBack();
  await until("the day before again", async () => (await rows(page).count()) === 4);
  assert.deepEqual(made.faults, []);
  await made.close();
});

test("a violation has a page that tells why, and agrees with what is stored", async () => {
  const made = await context(browser);
  const page = await open(made, `${standalone.url}/violations?range=7d&severity=critical&host_id=${encodeURIComponent(HOSTILE[0])}`);
  await rows(page).first().locator(".of-metric a").click();
  await page.waitForURL(/\/violations\/\d+\?range=7d/);
  const panel = page.locator(".violation-panel");
  await panel.getByText("evaluated once more, come to the same").waitFor();
  await panel.locator(".u-over").waitFor();
  const steps = await panel.locator(".steps li").evaluateAll((all) => all.map((element) => element.className));
  assert.deepEqual(steps, ["waiting_began", "opened", "recovering_began", "closed"]);
  assert.match(await panel.locator(".steps li.opened").innerText(), /97\.0 %/);
  assert.match(await panel.innerText(), /above 90 % for 4 s.*closes at 80 % or less/);
  assert.match(await panel.getByRole("link", { name: "The machine at that time" }).getAttribute("href"), /^\/hosts\/\d+\?from=.*&to=/);
  await picture(page, "violation-explained");
  const link = page.url();
  await page.keyboard.press("Escape");
  await page.waitForURL(/\/violations\?range=7d/);
  assert.equal(await page.evaluate(() => document.activeElement?.closest(".row") !== null), true, "the keyboard goes on at the row");

  await page.goto(link);
  await panel.locator(".steps li.closed").waitFor();
  await panel.getByRole("link", { name: "All of this rule, 30 days" }).click();
  await page.waitForURL(/threshold_id=/);
  assert.equal(await panel.count(), 0);
  await until("those of the rule", async () => (await rows(page).count()) >= 3);
  await page.goto(`${standalone.url}/violations/4711`);
  await page.getByText("There is no violation 4711.").waitFor();
  assert.deepEqual(made.faults.filter((fault) => !fault.includes("404")), []);
  await made.close();
});

test("one tab of two rings for what is critical, and never for what is silenced", async () => {
  const made = await context(browser);
  await made.grantPermissions(["notifications"]);
  await made.addInitScript(() => {
    window.told = [];
    window.tones = 0;
    window.Notification = class extends Notification {
      constructor(title, options) {
        super(title, options);
        window.told.push(`${title}\n${options.body}`);
      }
    };
    const make = AudioContext.prototype.createOscillator;
    AudioContext.prototype.createOscillator = function () {
      window.tones += 1;
      return make.call(this);
    };
  });
  const pages = [await open(made, standalone.url), await open(made, `${standalone.url}/violations`)];
  const [first, second] = pages;
  await Promise.all(pages.map(isLive));
  await first.bringToFront();
  await first.locator(".settings summary").click();
  await first.getByLabel("Ring when a violation opens").selectOption("critical");
  await first.getByLabel("Notification of the browser").check();
  assert.equal(await first.getByLabel("Sound").isChecked(), true);
  await picture(first, "alarm");

  const silence = await standalone.call("POST", "/silences", { kind: "silence", scope: { host_id: HOSTILE[3] }, comment: "moved", ends_at: new Date(Date.now() + 3_600_000).toISOString() });
  const now = Date.now() - 10_000;
  await play(HOSTILE[3], now, BURST.slice(0, 5));
  await play(HOSTILE[4], now, BURST.slice(0, 5));
  const told = async () => (await Promise.all(pages.map((page) => page.evaluate(() => window.told)))).flat();
  await until("a notification", async () => (await told()).length > 0);
  // its warning rings nobody, and what is silenced came before it
  assert.deepEqual(await told(), [`critical: ${HOSTILE[4]}\nsystem.cpu.utilization`]);
  assert.deepEqual(await Promise.all(pages.map((page) => page.evaluate(() => window.tones))), [4, 0], "the tab in which somebody clicked");
  assert.equal(await second.evaluate(() => JSON.parse(localStorage.getItem("server-monitoring")).alarm), "critical");

  await second.locator(".row.calm", { hasText: HOSTILE[3] }).first().waitFor();
  await second.getByRole("button", { name: "hide 2 silenced" }).click();
  await row(second, HOSTILE[3]).first().waitFor({ state: "detached" });
  assert.ok((await row(second, HOSTILE[4]).count()) > 0);
  for (const name of HOSTILE.slice(3, 5)) await play(name, Date.now(), BURST.slice(5));
  await standalone.call("DELETE", `/silences/${silence.id}`);
  assert.deepEqual(made.faults, []);
  await made.close();
});

test("a list stays as it is under somebody's hand", async () => {
  const made = await context(browser);
  const page = await open(made, `${standalone.url}/violations`);
  await isLive(page);
  await play(HOSTILE[0], Date.now() - 10_000, BURST.slice(0, 5));
  const held = row(page, HOSTILE[0]).first();
  await until("both of the first host", async () => (await rows(page).count()) === 2);
  await held.hover();
  await play(HOSTILE[1], Date.now() - 10_000, BURST.slice(0, 5));
  await page.getByRole("button", { name: "Show 2 new" }).waitFor();
  assert.equal(await rows(page).count(), 2, "what is new waits");
  await page.getByRole("button", { name: "Show 2 new" }).click();
  assert.equal(await rows(page).count(), 4);
  await held.hover();
  await play(HOSTILE[0], Date.now(), BURST.slice(5));
  await held.getByText("closed just now").waitFor();
  await page.mouse.move(5, 5);
  await held.waitFor({ state: "detached" });
  assert.equal(await rows(page).count(), 2);
  await play(HOSTILE[1], Date.now(), BURST.slice(5));
  await page.getByText("Nothing is violated.").waitFor();
  assert.deepEqual(made.faults, []);
  await made.close();
});

test("what stands in the way of an explanation is said", async () => {
  const made = await context(browser);
  const rule = await standalone.call("POST", "/thresholds", { ...RULE, metric: "system.memory.utilization", value: 0.5, recovery_value: 0.5, severity: "info" });
  const now = Date.now() - 10_000;
  await play(HOSTILE[5], now, [0.3, 0.3, 0.3, 0.3]);
  await standalone.call("DELETE", `/thresholds/${rule.id}`);
  await play(HOSTILE[5], now + 8_000, [0.3]);
  const closed = await until("its end", async () => (await standalone.get(`/violations?threshold_id=${rule.id}&state=closed`)).items[0]);
  const page = await open(made, `${standalone.url}/violations/${closed.id}`);
  const panel = page.locator(".violation-panel");
  await panel.getByText("It closed because its rule was changed").waitFor();
  await panel.getByText("evaluated once more, open it at the same time").waitFor();
  assert.match(await panel.locator(".told").innerText(), /threshold changed/);

  // as it is after months: the backend knows the violation, and nothing else
  await page.route("**/explain", async (route) => {
    const answer = await (await route.fetch()).json();
    const nothing = { threshold: null, scope: null, steps: [], samples: { t: [], value: [] }, re_evaluated: null, agrees: null, hindrance: "its machine is forgotten" };
    await route.fulfill({ json: { ...answer, ...nothing } });
  });
  await page.reload();
  await panel.getByText("Its machine is forgotten, and its samples with it.").waitFor();
  await panel.getByText("There are no samples to show.").waitFor();
  await panel.getByText("How the rule was then is not known any more.").waitFor();
  await page.unroute("**/explain");
  await page.route("**/explain", (route) => route.fulfill({ status: 503, contentType: "application/problem+json", body: JSON.stringify({ detail: "the database is away" }) }));
  await page.reload();
  await panel.getByText("This could not be read: the database is away").waitFor();
  assert.deepEqual(made.faults.filter((fault) => !fault.includes("503")), []);
  await made.close();
});
