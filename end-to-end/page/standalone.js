// The standalone binary on a folder and a port of its own.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, openSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const TARGET = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL("../../target", import.meta.url));
/** One of the workspace's programs. */
export const program = (name) => join(TARGET, "debug", name);
const DEADLINE_MS = 30_000;

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export async function until(what, check) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export class Standalone {
  static async start(settings = {}, port = undefined, folder = mkdtempSync(join(tmpdir(), "page-"))) {
    const standalone = new Standalone();
    standalone.port = port ?? (await freePort());
    standalone.folder = folder;
    standalone.token = settings.API_TOKEN;
    standalone.adminAddress = settings.ADMIN_LISTEN_ADDR;
    const log = openSync(join(folder, "log"), "a");
    standalone.process = spawn(program("standalone"), [], {
      cwd: folder,
      env: { LISTEN_ADDR: `127.0.0.1:${standalone.port}`, ADMIN_LISTEN_ADDR: "off", COLLECT_INTERVAL_MS: "500", TZ: "UTC", ...settings },
      stdio: ["ignore", log, log],
    });
    standalone.ended = new Promise((resolve) => standalone.process.once("exit", resolve));
    await until("the first report", async () => (await standalone.get("/machines").catch(() => null))?.items.length > 0).catch((error) => {
      throw new Error(`${error.message}\n${readFileSync(join(folder, "log"))}`);
    });
    return standalone;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async call(method, path, body) {
    const headers = { "Content-Type": "application/json", ...(this.token ? { Authorization: `Bearer ${this.token}` } : {}) };
    const response = await fetch(`${this.url}/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? null : response.json();
  }

  /** Stores reports as a consumer would. */
  async ingest(reports) {
    const records = reports.map((report, index) => ({ offset: index, report }));
    const body = JSON.stringify({ topic: "page-test", partition: 0, records });
    const response = await fetch(`${this.url}/api/v1/ingest`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    const receipt = await response.json();
    if (!response.ok || receipt.rejected.length > 0) throw new Error(`ingest: ${response.status} ${JSON.stringify(receipt)}`);
  }

  /** A figure of the program itself; needs `ADMIN_LISTEN_ADDR`. */
  async figure(name) {
    const text = await (await fetch(`http://${this.adminAddress}/metrics`)).text();
    return Number(text.match(new RegExp(`^${name}(?:\\{.*\\})? (.*)$`, "m"))?.[1] ?? 0);
  }

  get(path) {
    return this.call("GET", path);
  }

  async kill() {
    this.process.kill("SIGKILL");
    await this.ended;
  }

  async stop() {
    this.process.kill("SIGTERM");
    await this.ended;
    rmSync(this.folder, { recursive: true });
  }
}
