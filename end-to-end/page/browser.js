// A browser with pages that collect what goes wrong in them.

import { writeFileSync } from "node:fs";

import { chromium } from "playwright-core";

const { SCREENSHOTS, README_PICTURES } = process.env;
/** Of a picture in the tree: letters stay sharp. */
const WEBP_QUALITY = 80;
export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

export function launch() {
  const quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: quiet });
}

export async function context(browser, options = {}) {
  const made = await browser.newContext({ viewport: DESKTOP, locale: "en", timezoneId: "UTC", ...options });
  made.faults = [];
  return made;
}

/** Opens a page of the context; its faults are those of the context. */
export async function open(made, url) {
  const page = await made.newPage();
  page.on("pageerror", (error) => made.faults.push(error.message));
  page.on("console", (message) => message.type() === "error" && made.faults.push(message.text()));
  await page.goto(url);
  return page;
}

export async function picture(page, name) {
  if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png` });
}

/** One of the pictures that the README shows. */
export async function smallPicture(page, name) {
  const folder = README_PICTURES ?? SCREENSHOTS;
  if (!folder) return;
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: WEBP_QUALITY });
  writeFileSync(`${folder}/${name}.webp`, Buffer.from(data, "base64"));
  await session.detach();
}
