// What an operator sees: this machine, a violation that comes and goes by itself, a backend that dies and returns.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

import { Standalone } from "./standalone.js";

const HOSTILE = `<img src=x onerror="document.title='owned'">&amp;"'`;
const SCREENSHOTS = process.env.SCREENSHOTS;
let browser;

before(async () => {
  const quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: quiet });
});
after(() => browser.close());

async function open(standalone) {
  const page = await browser.newPage({ viewport: { width: 1100, height: 800 } });
  const faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  await page.goto(standalone.url);
  return { page, faults };
}

async function picture(page, name) {
  if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png`, fullPage: true });
}

const everyCpu = (value) => ({
  scope: { kind: "host" }, metric: "system.cpu.utilization", direction: "above", value, recovery_value: value, for_seconds: 0, severity: "critical",
});

test("a machine is listed and a violation comes and goes without a reload", async () => {
  const standalone = await Standalone.start({ HOST_NAME: HOSTILE });
  const { page, faults } = await open(standalone);
  const machine = page.locator("#machines tr", { hasText: HOSTILE });
  await machine.waitFor();
  await page.locator("#stream.live").waitFor();
  assert.match(await machine.innerText(), /^up\s/);
  assert.match(await machine.innerText(), /\d %/);
  assert.equal(await page.locator("#sign-in").isVisible(), false, "on loopback nobody is asked for a token");
  const seen = await machine.locator("td").last().innerText();
  await page.waitForFunction((before) => document.querySelector("#machines tr td:last-child").innerText !== before, seen);

  await page.locator("#open .empty").waitFor();
  const rule = await standalone.call("POST", "/thresholds", everyCpu(-1));
  const violation = page.locator("#open tr", { hasText: "system.cpu.utilization" });
  await violation.waitFor();
  assert.equal(await page.title(), "(1) server-monitoring");
  await page.getByRole("button", { name: "Show" }).click();
  await page.locator("#history tr", { hasText: "system.cpu.utilization" }).waitFor();
  await picture(page, "violation");

  await standalone.call("DELETE", `/thresholds/${rule.id}`);
  await page.locator("#open .empty").waitFor();
  assert.equal(await page.title(), "server-monitoring");
  assert.deepEqual(faults, [], "neither errors nor anything that a name injected");
  await page.close();
  await standalone.stop();
});

test("a page stays open over the death of the backend", async () => {
  const first = await Standalone.start();
  const { page } = await open(first);
  await page.locator("#stream.live").waitFor();
  await first.kill();
  await page.locator("#stream.lost").waitFor();
  assert.ok(await page.locator("#machines tr td.up").count(), "the last good list stays");
  const second = await Standalone.start({}, first.port, first.folder);
  await page.locator("#stream.live").waitFor();
  await second.call("POST", "/thresholds", everyCpu(-1));
  await page.locator("#open tr", { hasText: "system.cpu.utilization" }).waitFor();
  await page.close();
  await second.stop();
});

test("with a token the page asks for it once", async () => {
  const standalone = await Standalone.start({ API_TOKEN: "open-sesame", INGEST_TOKEN: "for-consumers" });
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(standalone.url);
  await page.getByLabel("API token").fill("guess");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator("#error", { hasText: "not the API token" }).waitFor();
  assert.equal(await page.locator("#main").isVisible(), false);
  await picture(page, "sign-in");
  await page.getByLabel("API token").fill("open-sesame");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator("#machines tr td.up").waitFor();
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
  await page.reload();
  await page.locator("#machines tr td.up").waitFor();
  await context.close();
  await standalone.stop();
});
