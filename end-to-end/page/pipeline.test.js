// What an operator sees of the pipeline: dead letters as they come, what stands in them as nothing but text, and the line that reads the rest.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { context, launch, open, PHONE, picture } from "./browser.js";
import { hostileNames } from "./reports.js";
import { Standalone, until } from "./standalone.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const [IMAGE, SCRIPT] = hostileNames(2);
const PAYLOAD = `${SCRIPT}\n\t{"schema": 1, \u202E"host": ${IMAGE}`;
let browser, standalone;

before(async () => {
  browser = await launch();
  standalone = await Standalone.start();
});
after(async () => {
  await browser.close();
  await standalone.stop();
});

const lines = (page) => page.locator(".letters .line");
const panel = (page, title = "Dead letters") => page.getByRole("region", { name: title, exact: true });

/** Says of these letters what a consumer would. */
function tell(letters, records = letters.length) {
  return standalone.call("POST", "/pipeline/consumers", { consumer: "page-test", group: "g", version: "0", topic: "page-test", partitions: [], skipped: [], dead_letters: records, letters });
}
const letter = (offset, more) => ({ partition: 0, offset, written_at: Date.now() - 60_000 + offset, reason: `number ${offset}`, payload_bytes: 2, payload_start: "{}", ...more });

test("a dead letter comes into an open page, and is text in every colour and language", async () => {
  const made = await context(browser);
  const page = await open(made, `${standalone.url}/pipeline`);
  await page.locator(".stream.live").waitFor();
  await panel(page).getByText("every report could be stored").waitFor();
  // told in the same words to all who have the page open, without a reload
  await tell([letter(7, { reason: IMAGE, key: SCRIPT, origin_topic: "page-test", origin_partition: 3, origin_offset: 41, origin_at: Date.now() - 90_000, payload_bytes: 5_000_000, payload_start: PAYLOAD })]);
  const line = lines(page).first();
  await line.waitFor();
  assert.deepEqual([await line.locator(".reason").innerText(), await line.locator(".origin").innerText(), await line.locator(".size").innerText()], [IMAGE, "page-test, partition 3, offset 41", "4.77 MiB"]);
  assert.equal(await line.getAttribute("aria-expanded"), "false");
  await line.focus();
  await page.keyboard.press("Enter");
  const body = panel(page).locator(".letter");
  assert.equal(await body.locator("pre").textContent(), PAYLOAD);
  assert.deepEqual(await body.locator("dd.text").allTextContents(), [IMAGE, SCRIPT]);
  const command = await body.locator("code").innerText();
  assert.match(command, /--topic page-test\.dlq --partition 0 --offset 7 --max-messages 1 /);
  await made.grantPermissions(["clipboard-read", "clipboard-write"]);
  await body.getByRole("button", { name: /^Copy/ }).click();
  await body.getByRole("status").filter({ hasText: "Copied" }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), command);

  await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  await line.click();
  await line.click();
  await body.getByRole("button", { name: /^Copy/ }).click();
  await until("without a clipboard it is selected", () => page.evaluate((text) => String(getSelection()) === text, command));
  assert.equal(await page.evaluate(() => window.owned), undefined);
  assert.deepEqual(made.faults, []);
  await made.close();
});

for (const [colorScheme, locale, viewport] of [["light", "en", undefined], ["dark", "ko", PHONE]]) {
  test(`an open letter, ${colorScheme}, ${locale}`, async () => {
    const made = await context(browser, { colorScheme, locale, ...(viewport && { viewport }) });
    const page = await open(made, `${standalone.url}/pipeline`);
    const line = lines(page).first();
    await line.click();
    await page.locator(".letter pre").scrollIntoViewIfNeeded();
    if (locale === "ko") await panel(page, "데드 레터").getByText("파티션 0, 오프셋 7에 있습니다").waitFor();
    await picture(page, `letter-${colorScheme}-${locale}`);
    const widths = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(widths[0] <= widths[1], `${widths}`);
    const found = await page.evaluate(`${AXE}; axe.run(document, { resultTypes: ["violations"] })`);
    const serious = found.violations.filter((fault) => ["serious", "critical"].includes(fault.impact));
    assert.deepEqual(serious.map((fault) => `${fault.id}: ${fault.nodes[0].html.slice(0, 160)}`), []);
    assert.deepEqual(made.faults, []);
    await made.close();
  });
}

test("the newest come first, and more when one wants them; what cannot be read is said", async () => {
  await tell(Array.from({ length: 60 }, (_, index) => letter(100 + index)), 400);
  const made = await context(browser);
  const page = await open(made, `${standalone.url}/pipeline`);
  await lines(page).first().waitFor();
  assert.equal(await lines(page).count(), 50);
  assert.match(await lines(page).first().innerText(), /number 159/);
  await panel(page).getByText("the newest of 400").waitFor();
  await page.route("**/pipeline/dead_letters**", (route) => route.fulfill({ status: 503, contentType: "application/problem+json", body: JSON.stringify({ detail: "the database is away" }) }), { times: 1 });
  await panel(page).getByRole("button", { name: "More" }).click();
  await panel(page).getByText("the database is away").waitFor();
  await panel(page).getByRole("button", { name: "More" }).click();
  await until("all of them", async () => (await lines(page).count()) === 61);
  assert.equal(await panel(page).getByRole("button", { name: "More" }).count(), 0);
  // a new one comes before what was read, which stays
  await tell([letter(500)], 401);
  await lines(page).filter({ hasText: "number 500" }).waitFor();
  assert.equal(await lines(page).count(), 62);
  await made.close();
});

test("the arrow behind Kafka says how fast consumers move on", async () => {
  const made = await context(browser);
  const page = await open(made, `${standalone.url}/pipeline`);
  // COLLECT_INTERVAL_MS is 500, of one host
  const arrow = page.locator(".hops > li").nth(1).locator(".flow");
  const rate = await until("a rate", async () => Number((await arrow.innerText()).match(/^([\d.]+) records\/s$/)?.[1]));
  assert.ok(rate > 1 && rate < 3, `${rate}`);
  await made.close();
});
