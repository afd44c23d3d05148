// Rules and silences as an operator makes them: on the page, against the real backend, with others who do the same.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { context, launch, open, PHONE, picture } from "./browser.js";
import { hostileNames, report } from "./reports.js";
import { Standalone, until } from "./standalone.js";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const METRIC = "system.cpu.load_average.1m";
const isLive = (page) => page.locator(".stream.live").waitFor();
const choose = (page, group, name) => page.getByRole("group", { name: group, exact: true }).getByRole("radio", { name, exact: true }).check();
const save = (page) => page.getByRole("button", { name: "Save" }).click();
/** A tab behind another one is drawn once a second, and as slow to click. */
const front = async (page) => (await page.bringToFront(), page);
const nameOneself = async (page, name) => {
  await page.locator(".settings summary").click();
  await page.getByLabel("Your name").fill(name);
  await page.keyboard.press("Escape");
};

/** As WCAG has it. */
function contrast(...colors) {
  const light = (color) => {
    const [red, green, blue] = color.match(/\d+/g).map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [bright, dark] = colors.map(light).sort((one, other) => other - one);
  return (bright + 0.05) / (dark + 0.05);
}
const everyMemory = { scope: { kind: "host" }, metric: "system.memory.utilization", direction: "above", for_seconds: 7, severity: "info" };

/** Hosts whose load goes up and down: above 1 for a quarter of an hour each hour of the last ones. */
async function withHistory(settings = {}) {
  const standalone = await Standalone.start(settings);
  const now = Date.now();
  const minutes = 300;
  for (let minute = 0; minute < minutes; minute++) {
    const at = now - (minutes - minute) * 60_000;
    const load = (index) => (minute % 60 < 15 + index ? 1.5 : 0.5);
    await standalone.ingest(["db-01", "db-02", "web-01"].map((id, index) => report(id, at, { labels: { role: id.split("-")[0] }, seq: minute + 1, load: load(index), intervalMs: 60_000 })));
  }
  return standalone;
}

const rule = (change = {}) => ({ scope: { kind: "host" }, metric: METRIC, direction: "above", value: 1, for_seconds: 0, severity: "warning", ...change });

test("a threshold is made on the page, violated for real, and told by the stream", async () => {
  const standalone = await Standalone.start();
  const made = await context(browser);
  const list = await open(made, `${standalone.url}/thresholds?only=own`);
  await isLive(list);
  const page = await open(made, `${standalone.url}/thresholds/new`);
  await nameOneself(page, "김하늘");
  await page.getByLabel("Metric").fill("cpu utilization");
  await page.getByLabel("Metric").press("ArrowDown");
  await page.getByLabel("Metric").press("Enter");
  assert.equal(await page.getByLabel("Metric").inputValue(), "system.cpu.utilization");
  await choose(page, "For", "those with labels");
  await page.getByLabel("Label", { exact: true }).fill("host.name");
  await page.getByLabel("Label value", { exact: true }).click();
  await page.locator("main").getByRole("option").first().click();
  await page.getByText("1 of 1 match now.").waitFor();
  // what is missing is told at its field
  await page.getByRole("button", { name: "Create" }).click();
  await page.locator(".entry.wrong", { hasText: "This is needed." }).waitFor();
  const value = page.getByLabel("Value", { exact: true });
  await value.fill("-1");
  await page.getByText("= -1 %").waitFor();
  await page.getByLabel("For at least", { exact: true }).fill("0");
  await choose(page, "Severity", "critical");
  await page.getByLabel("Note").fill("made by hand");
  await page.getByRole("button", { name: "Create" }).click();
  await page.waitForURL(/\/thresholds\/\d+$/);
  await list.locator(".notice p.critical").waitFor();
  // without reading it again by hand
  const line = list.locator(".rule-line", { hasText: "above -1 % at once" });
  await line.getByText("1 open").waitFor();
  assert.match(await line.innerText(), /hosts with host\.name=.*김하늘/s);
  await picture(list, "thresholds");

  const [found] = (await standalone.get("/thresholds")).items.filter((one) => one.note === "made by hand");
  assert.deepEqual([found.value, found.recovery_value, found.for_seconds, found.severity, found.changed_by], [-0.01, -0.01, 0, "critical", "김하늘"]);
  // switched off where it stands, its violation closes before one's eyes; the other tab does not hear of it
  const ofRule = `**/api/v1/thresholds/${found.id}`;
  await page.route(ofRule, (route) => route.abort());
  await line.getByRole("switch").click();
  await list.locator("nav .severity.critical").waitFor({ state: "detached" });
  assert.equal((await standalone.get(`/thresholds/${found.id}`)).enabled, false);
  await page.locator(".stale").waitFor();
  await page.unroute(ofRule);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  // what it does not know it does not delete: it is shown
  await page.locator(".versions li", { hasText: "switched off" }).waitFor();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.waitForURL(/\/thresholds$/);
  await page.goto(`${standalone.url}/thresholds/${found.id}`);
  await page.getByText("This threshold was deleted.").waitFor();
  await page.locator(".versions li", { hasText: "김하늘" }).first().waitFor();
  assert.deepEqual(made.faults.filter((fault) => !/412|404|ERR_FAILED/.test(fault)), []);
  await made.close();
  await standalone.stop();
});

test("the preview says what the API says, of the draft and of what is saved", async () => {
  const standalone = await withHistory({ SEAL_AFTER_SECONDS: "1" });
  const { id } = await standalone.call("POST", "/thresholds", rule({ scope: { kind: "host", labels: { role: "*" } } }));
  const made = await context(browser);
  const page = await open(made, `${standalone.url}/thresholds/${id}`);
  const asked = [];
  page.on("request", (request) => request.url().endsWith("/backtest") && asked.push(JSON.parse(request.postData())));
  const told = page.locator(".preview .outcome");
  await until("the answer", async () => /× on 3 of/.test(await told.innerText().catch(() => "")));
  const first = await standalone.call("POST", "/thresholds/backtest", asked.at(-1));
  assert.ok(first.count >= 15, `${first.count}`);
  assert.ok((await told.innerText()).startsWith(`Would have opened ${first.count}× on ${first.machines} of ${first.machines_in_scope}`));
  const machines = page.locator(".by-machine li");
  assert.deepEqual(await machines.locator(".number:not(.muted)").allInnerTexts(), first.by_machine.map((machine) => String(machine.count)));
  await page.locator(".preview .u-over").waitFor();
  await page.getByText(/^History begins at/).waitFor();
  await picture(page, "threshold");

  // so long only db-02 and web-01 stay beyond it
  await page.getByLabel("For at least", { exact: true }).fill("14 min 30 s");
  await until("another answer", async () => /on 2 of/.test(await told.innerText()));
  const draft = asked.findLast((question) => question.threshold);
  assert.equal(draft.threshold.for_seconds, 870);
  const second = await standalone.call("POST", "/thresholds/backtest", draft);
  assert.ok((await told.innerText()).startsWith(`Would have opened ${second.count}× on ${second.machines} of`));
  await page.getByText(`as saved ${first.count} → as it stands here ${second.count}`).waitFor();

  // values are suggested of what is sealed, which takes the backend a moment
  const { threshold, from, to } = draft;
  await until("sealed values", () => standalone.call("POST", "/thresholds/suggest", { threshold, from, to, at_most_per_week: 5 }).catch(() => null));
  await page.getByRole("button", { name: "Suggest values" }).click();
  const candidate = page.locator(".suggest tbody tr").first();
  await candidate.waitFor();
  const cells = await candidate.locator("td").allInnerTexts();
  await candidate.getByRole("button").click();
  assert.equal(await page.getByLabel("Value", { exact: true }).inputValue(), cells[0]);
  // what nothing can be said of is said at once
  await page.goto(`${standalone.url}/thresholds/new?metric=host.missing&value=0`);
  await page.locator(".preview", { hasText: "No report tells this metric" }).waitFor();
  assert.deepEqual(made.faults, []);
  await made.close();
  await standalone.stop();
});

test("a preview waits for its turn, gives up what is out of date, and says when it takes too long", async () => {
  const standalone = await Standalone.start();
  const made = await context(browser);
  const page = await made.newPage();
  const problem = (route, status, detail) => route.fulfill({ status, contentType: "application/problem+json", body: JSON.stringify({ title: "x", status, detail }) });
  const asked = [];
  // the backend is busy twice, slow once, and at last takes too long for a week
  await page.route("**/thresholds/backtest", async (route) => {
    const { threshold, from, to } = route.request().postDataJSON();
    asked.push(threshold.value);
    if (asked.length <= 2) return problem(route, 503, "2 backtests are at work: try again");
    if (threshold.value === 2) return; // never answered
    if (threshold.value === 3 && Date.parse(to) - Date.parse(from) > 86_400_000) return problem(route, 422, "it takes longer than 25 s: ask for a shorter range or fewer machines");
    return route.continue();
  });
  await page.goto(`${standalone.url}/thresholds/new?metric=${METRIC}&value=1`);
  await page.getByText("Others are looking at history").waitFor();
  const outcome = page.locator(".preview .outcome");
  await outcome.waitFor();
  assert.equal(asked.length, 3, "asked again until it was its turn");
  const value = page.getByLabel("Value", { exact: true });
  const aborted = page.waitForEvent("requestfailed", (request) => request.url().endsWith("/backtest"));
  await value.fill("2");
  await until("the slow one", () => asked.at(-1) === 2);
  await value.fill("3");
  await aborted;
  await page.getByText("it takes longer than 25 s").waitFor();
  await page.getByRole("button", { name: "Try the last day" }).click();
  await page.locator(".preview .outcome", { hasText: "last day" }).waitFor();
  assert.equal(await page.getByText("it takes longer").count(), 0);
  await made.close();
  await standalone.stop();
});

test("two who change the same rule see each other, and an old version comes back", async () => {
  const standalone = await Standalone.start();
  const { id } = await standalone.call("POST", "/thresholds", rule({ value: 100 }));
  const [ours, theirs] = [await context(browser), await context(browser, { viewport: PHONE })];
  const mine = await open(ours, `${standalone.url}/thresholds/${id}`);
  const list = await open(ours, `${standalone.url}/thresholds?q=load_average`);
  const other = await open(theirs, `${standalone.url}/thresholds/${id}`);
  await nameOneself(other, "Jana");
  await list.locator(".rule-line").waitFor();
  await mine.getByLabel("Value", { exact: true }).fill("120");
  await other.getByLabel("Value", { exact: true }).fill("110");
  await other.getByLabel("Note").fill("by Jana");
  // a list that did not hear of it yet
  await list.route("**/api/v1/thresholds", (route) => route.abort());
  await save(other);
  await other.getByText("Saved.").waitFor();
  await (await front(list)).locator(".stale").waitFor();
  await list.unroute("**/api/v1/thresholds");
  await list.getByRole("switch").click();
  await list.locator(".conflict", { hasText: "Jana" }).getByText("Value: 100 → 110").waitFor();
  assert.deepEqual([(await standalone.get(`/thresholds/${id}`)).enabled, (await standalone.get(`/thresholds/${id}`)).version], [true, 2], "nothing was overwritten");
  await list.getByRole("button", { name: "Show theirs" }).click();
  await list.locator(".rule-line", { hasText: "above 110" }).waitFor();

  // whoever changes it as well is told at once
  await (await front(mine)).locator(".conflict", { hasText: "Jana" }).getByText("Value: 100 → 110").waitFor();
  assert.equal(await mine.getByLabel("Value", { exact: true }).inputValue(), "120", "what was typed stays");
  assert.equal((await standalone.get(`/thresholds/${id}`)).value, 110);
  await mine.getByRole("button", { name: "Go on with mine" }).click();
  await until("their note and my value", async () => (await mine.getByLabel("Note").inputValue()) === "by Jana" && (await mine.getByLabel("Value", { exact: true }).inputValue()) === "120");
  await save(mine);
  await mine.getByText("Saved.").waitFor();
  assert.deepEqual((await standalone.get(`/thresholds/${id}/versions`)).items.map(({ threshold }) => threshold.value), [120, 110, 100]);

  await mine.getByRole("button", { name: "Restore version 1" }).click();
  await mine.locator(".versions li", { hasText: "Value: 120 → 100" }).waitFor();
  await until("the first version again", async () => (await standalone.get(`/thresholds/${id}`)).value === 100);
  await until("its value in the form", async () => (await mine.getByLabel("Value", { exact: true }).inputValue()) === "100");
  // what another rule says already is refused with the way to it
  await mine.getByRole("link", { name: "Copy" }).click();
  await mine.getByRole("button", { name: "Create" }).click();
  await mine.getByRole("link", { name: "Open that one" }).click();
  await mine.waitForURL(new RegExp(`/thresholds/${id}$`));
  for (const made of [ours, theirs]) assert.deepEqual(made.faults.filter((fault) => !/409|412|ERR_FAILED/.test(fault)), []);
  // nobody has to read the list again
  await standalone.call("DELETE", `/thresholds/${id}`);
  await (await front(list)).locator(".rule-line").waitFor({ state: "detached" });
  await ours.close();
  await theirs.close();
  await standalone.stop();
});

test("a rule's values are read in their units, however late those come", async () => {
  const standalone = await Standalone.start();
  const { id } = await standalone.call("POST", "/thresholds", { ...everyMemory, value: 0.97, recovery_value: 0.955 });
  const made = await context(browser);
  const page = await made.newPage();
  let release;
  const isLate = new Promise((resolve) => (release = resolve));
  await page.route("**/api/v1/catalog", async (route) => (await isLate, route.continue()));
  const read = page.waitForResponse((response) => response.url().endsWith(`/thresholds/${id}`));
  await page.goto(`${standalone.url}/thresholds/${id}`);
  await (await read).finished();
  assert.equal(await page.getByLabel("Note").count(), 0, "nothing to type in yet");
  release();
  assert.equal(await page.getByLabel("Value", { exact: true }).inputValue(), "97 %");
  await page.getByLabel("Note").fill("only a note");
  const button = page.getByRole("button", { name: "Save" });
  await button.hover();
  const [text, behind] = await button.evaluate((element) => [getComputedStyle(element).color, getComputedStyle(element).backgroundColor]);
  assert.ok(contrast(text, behind) >= 4.5, `${text} on ${behind}, under the mouse`);
  await button.click();
  await page.getByText("Saved.").waitFor();
  const saved = await standalone.get(`/thresholds/${id}`);
  assert.deepEqual([saved.version, saved.note, saved.value, saved.recovery_value], [2, "only a note", 0.97, 0.955]);
  await made.close();
  await standalone.stop();
});

test("what was typed outlives a look elsewhere and the backend's death", async () => {
  const first = await Standalone.start();
  const { id } = await first.call("POST", "/thresholds", rule({ value: 100 }));
  const made = await context(browser);
  const page = await open(made, `${first.url}/thresholds/${id}`);
  const value = page.getByLabel("Value", { exact: true });
  await value.fill("99");
  await page.getByRole("link", { name: "Fleet" }).click();
  await page.locator(".machines .row").first().waitFor();
  await page.goBack();
  await page.getByText("Not saved yet.").waitFor();
  assert.equal(await value.inputValue(), "99");
  await first.kill();
  await save(page);
  await page.getByText(/Not saved: the backend cannot be reached/).waitFor();
  assert.equal(await value.inputValue(), "99");
  const second = await Standalone.start({}, first.port, first.folder);
  await isLive(page);
  await save(page);
  await page.getByText("Saved.").waitFor();
  assert.equal((await second.get(`/thresholds/${id}`)).value, 99);
  await made.close();
  await second.stop();
});

test("a silence is made on the page, its violation is marked, and it ends", async () => {
  const standalone = await Standalone.start();
  await standalone.call("POST", "/thresholds", { scope: { kind: "host" }, metric: "system.cpu.utilization", direction: "above", value: -1, for_seconds: 0, severity: "critical" });
  const made = await context(browser, { timezoneId: "Asia/Seoul" });
  const page = await open(made, standalone.url);
  await page.locator("nav .severity.critical").waitFor();
  await page.locator(".machines .row a").first().click();
  await page.locator(".machine-head").getByRole("link", { name: "Silence" }).click();
  await nameOneself(page, "Jana");
  await page.getByText("1 of 1 match now.").waitFor();
  await page.getByRole("button", { name: "Create" }).click();
  await until("two fields are missing", async () => (await page.locator(".entry.wrong").count()) === 2);
  await page.getByRole("button", { name: "4 h", exact: true }).click();
  await page.getByLabel("Why").fill("kernel updates");
  await page.getByRole("button", { name: "Create" }).click();
  const line = page.locator(".silences.active .silence-line", { hasText: "kernel updates" });
  await line.waitFor();
  assert.match(await line.innerText(), /and its containers.*Jana/s);
  await page.locator("nav .severity.critical").waitFor({ state: "detached" });
  const [violation] = (await standalone.get("/violations?state=silenced")).items;
  assert.equal(violation.metric, "system.cpu.utilization");
  await picture(page, "silences");

  // a maintenance shows on its machines
  const works = await standalone.call("POST", "/silences", { kind: "maintenance", scope: { kind: "host" }, ends_at: new Date(Date.now() + 3_600_000).toISOString(), comment: "new disks" });
  await page.getByRole("link", { name: "Fleet" }).click();
  await page.locator(".machines .mark[title='new disks']").waitFor();
  await standalone.call("DELETE", `/silences/${works.id}`);
  await page.locator(".machines .mark[title='new disks']").waitFor({ state: "detached" });
  await page.goto(`${standalone.url}/silences`);

  // another one at weekends, in the operator's zone
  await page.getByRole("link", { name: "New silence" }).click();
  await choose(page, "What", "maintenance");
  await choose(page, "Of", "Hosts");
  await choose(page, "It is active", "on days of the week");
  for (const day of ["Mon", "Tue", "Wed", "Thu", "Fri"]) await page.getByRole("checkbox", { name: day }).uncheck();
  await page.getByLabel("From", { exact: true }).fill("03:30");
  await page.getByLabel("For", { exact: true }).fill("90 min");
  await page.getByLabel("Why").fill("weekly reboot");
  await page.getByRole("button", { name: "Create" }).click();
  const weekly = page.locator(".silence-line", { hasText: "Sun, Sat at 03:30 for 1 h 30 min (Asia/Seoul)" });
  await weekly.waitFor();
  const [stored] = (await standalone.get("/silences")).items.filter((one) => one.cron);
  assert.deepEqual([stored.kind, stored.cron, stored.duration_seconds, stored.tz, stored.scope.kind], ["maintenance", "30 3 * * SUN,SAT", 5_400, "Asia/Seoul", "host"]);

  await line.getByRole("button", { name: "End now" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End now" }).click();
  await page.locator(".silences.expired .silence-line", { hasText: "kernel updates" }).waitFor();
  await page.locator("nav .severity.critical").waitFor();
  assert.deepEqual(made.faults, []);
  await made.close();
  await standalone.stop();
});

test("hostile names are names in forms, too", async () => {
  const standalone = await Standalone.start();
  const names = hostileNames(8);
  const at = Date.now();
  await standalone.ingest(names.map((name, index) => report(`evil-${index}`, at, { name, labels: { [names[1].slice(0, 60)]: names[2] }, mountpoint: names[3] })));
  const [machine] = (await standalone.get(`/machines?kind=host&host_id=evil-0`)).items;
  const made = await context(browser);
  const page = await open(made, `${standalone.url}/thresholds/new?metric=system.filesystem.utilization&machine_id=${machine.id}&value=2`);
  await nameOneself(page, names[0]);
  await until("the machine's name", async () => (await page.getByLabel("Machine").inputValue()) === names[0]);
  await page.getByLabel("Device").fill(names[3]);
  await page.getByLabel("Note").fill(names[0]);
  await page.getByRole("button", { name: "Create" }).click();
  await page.waitForURL(/\/thresholds\/\d+$/);
  await page.getByRole("heading", { name: names[0] }).waitFor();
  await page.goto(`${standalone.url}/thresholds?only=own`);
  await page.locator(".rule-line", { hasText: names[0] }).locator(".note", { hasText: names[0] }).waitFor();
  await page.goto(`${standalone.url}/silences/new`);
  await page.getByRole("button", { name: "Add a label" }).click();
  await page.getByLabel("Label", { exact: true }).fill("script");
  await page.locator("main").getByRole("option", { name: "<script>" }).first().click();
  await page.getByRole("button", { name: "1 d" }).click();
  await page.getByLabel("Label value", { exact: true }).fill("*");
  await page.getByLabel("Why").fill(names[4]);
  await page.getByRole("button", { name: "Create" }).click();
  await page.locator(".silence-line", { hasText: names[4] }).locator(".what", { hasText: "<script>" }).waitFor();
  assert.equal(await page.evaluate(() => window.owned), undefined);
  assert.deepEqual(made.faults, []);
  await made.close();
  await standalone.stop();
});
