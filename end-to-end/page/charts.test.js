// What an operator reads in a machine's charts: when something was, what was before, and closer.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { context, launch, open, PHONE, picture } from "./browser.js";
import { report } from "./reports.js";
import { Standalone, until } from "./standalone.js";

const DAY_MS = 86_400_000;
const STEP_MS = 10_000;
let browser, standalone, host, violation;

before(async () => {
  browser = await launch();
  standalone = await Standalone.start();
  await standalone.call("POST", "/thresholds", { scope: { kind: "host" }, metric: "system.cpu.utilization", direction: "above", value: 0.1, recovery_value: 0.1, for_seconds: 0, severity: "critical" });
  const now = Date.now();
  const sent = (start, cpu) => Array.from({ length: 60 }, (_, index) => report("db-01", start + index * STEP_MS, { cpu, seq: Math.floor(start / STEP_MS) + index }));
  // the day before in other steps and another phase
  await standalone.ingest(sent(now - DAY_MS - 60 * STEP_MS + 3_700, 0.8));
  await standalone.ingest(sent(now - 60 * STEP_MS, 0.2));
  [host] = (await standalone.get("/machines?kind=host&host_id=db-01")).items;
  await until("a violation", async () => (violation = (await standalone.get(`/violations?machine_id=${host.id}&metric=system.cpu.utilization`)).items[0]));
});
after(async () => {
  await browser.close();
  await standalone.stop();
});

const over = (page) => page.locator(".chart-panel.cpu .u-over");
const drag = async (page, from, to) => {
  const box = await over(page).boundingBox();
  await page.mouse.move(box.x + box.width * from, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * to, box.y + 40, { steps: 4 });
  await page.mouse.up();
};

test("a zoom is one step in the history, and leads back to the range it came from", async () => {
  const made = await context(browser);
  const page = await open(made, `${standalone.url}/hosts/${host.id}?range=6h`);
  await over(page).waitFor();
  await page.locator(".chart-panel.memory .u-over").waitFor();
  const length = () => page.evaluate(() => history.length);
  const start = await length();
  // the button is let go beside the chart
  await drag(page, 0.9, 1.04);
  await page.waitForURL(/range=6h&from=.*&to=/);
  assert.equal(await length(), start + 1);
  const pressed = page.locator(".range [aria-pressed=true]");
  assert.equal(await pressed.count(), 0);
  await over(page).dblclick();
  await page.waitForURL(/\?range=6h$/);
  assert.equal(await pressed.innerText(), "6 h");
  assert.equal(await length(), start + 2);
  await over(page).dblclick();
  assert.equal(await length(), start + 2, "it is back already");
  await drag(page, 0.8, 0.95);
  await page.waitForURL(/from=/);
  await page.getByRole("button", { name: "24 h", exact: true }).click();
  await page.waitForURL(/\?range=24h$/);
  assert.deepEqual(made.faults, []);
  await made.close();
});

test("all charts say when it was under the cursor, and what was the day before", async () => {
  for (const options of [{}, { viewport: PHONE, hasTouch: true, isMobile: true }]) {
    const made = await context(browser, options);
    const page = await open(made, `${standalone.url}/hosts/${host.id}?range=15m&compare=1d`);
    const past = page.locator(".chart-panel.cpu .legend li", { hasText: "the day before" }).locator("b");
    await until("the past, now", async () => (await past.innerText()) === "80.0 %");
    assert.equal(await page.locator(".cursor-time:visible").count(), 0);
    const box = await over(page).boundingBox();
    const place = [box.x + box.width * 0.7, box.y + 40];
    if (options.hasTouch) await page.touchscreen.tap(...place);
    else await page.mouse.move(...place);
    const times = page.locator(".cursor-time:visible");
    await times.first().waitFor();
    assert.match(await times.first().innerText(), /^\d+ \w+,? \d\d:\d\d:\d\d$/);
    assert.ok((await times.count()) > 1);
    assert.equal(await past.innerText(), "80.0 %");
    assert.equal(await page.locator(".chart-panel.cpu .legend b").first().innerText(), "14.0 %");
    await picture(page, `compared-${options.hasTouch ? "phone" : "desktop"}`);
    assert.deepEqual(made.faults, []);
    await made.close();
  }
});

test("a violation is seen over the fills of a stack", async () => {
  const made = await context(browser);
  await made.addInitScript(() => {
    window.drawn = [];
    for (const name of ["fill", "fillRect"]) {
      const draw = CanvasRenderingContext2D.prototype[name];
      CanvasRenderingContext2D.prototype[name] = function (...how) {
        if (this.canvas.closest(".cpu") && (name === "fillRect" || how[0] instanceof Path2D)) window.drawn.push(name);
        return draw.apply(this, how);
      };
    }
  });
  const page = await open(made, `${standalone.url}/hosts/${host.id}?range=15m`);
  await page.waitForFunction(() => window.drawn.includes("fillRect") && window.drawn.includes("fill"));
  assert.equal(await page.evaluate(() => window.drawn.at(-1)), "fillRect");
  assert.deepEqual(made.faults, []);
  await made.close();
});

test("time goes on where no report comes", async () => {
  await until("silence", async () => (await standalone.get(`/violations?machine_id=${host.id}&metric=host.missing`)).items.length > 0);
  const made = await context(browser);
  const page = await open(made, `${standalone.url}/hosts/${host.id}?range=15m`);
  await over(page).waitFor();
  const box = await over(page).boundingBox();
  await page.mouse.move(box.x + box.width - 2, box.y + 40);
  const time = page.locator(".chart-panel.cpu .cursor-time");
  await time.waitFor();
  const seen = new Set();
  await until("later times", async () => seen.add(await time.innerText()).size > 3);
  await until("no value", async () => (await page.locator(".chart-panel.cpu .legend b").first().innerText()) === "–");
  assert.deepEqual(made.faults, []);
  await made.close();
});

test("axes have units although the catalog comes late", async () => {
  const made = await context(browser);
  await made.addInitScript(() => {
    window.written = [];
    const write = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...more) {
      window.written.push(text);
      return write.call(this, text, ...more);
    };
  });
  let release;
  const isReleased = new Promise((resolve) => (release = resolve));
  await made.route("**/api/v1/catalog*", async (route) => {
    await isReleased;
    await route.continue();
  });
  const page = await open(made, `${standalone.url}/violations/${violation.id}`);
  await page.locator(".sample-charts .u-over").first().waitFor();
  await page.evaluate(() => (window.written = []));
  release();
  await page.waitForFunction(() => window.written.some((text) => /\d %$/.test(text)));
  assert.deepEqual(made.faults, []);
  await made.close();
});
