// A browser with pages that collect what goes wrong in them.

import { chromium } from "playwright-core";

const SCREENSHOTS = process.env.SCREENSHOTS;
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
