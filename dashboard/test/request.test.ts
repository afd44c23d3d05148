import { afterEach, expect, test, vi } from "vitest";

import { api, Failure } from "../src/api/client.ts";
import { urlOf } from "../src/api/request.ts";
import { preferences } from "../src/state/preferences.ts";

afterEach(() => vi.unstubAllGlobals());

function answer(body: string | null, status = 200) {
  const asked: { url: string; init: RequestInit & { headers: Headers } }[] = [];
  vi.stubGlobal("fetch", (url: string, init: RequestInit & { headers: Headers }) => {
    asked.push({ url, init });
    return Promise.resolve(new Response(body, { status }));
  });
  return asked;
}

test("a question is a URL whatever is in it", () => {
  expect(urlOf("/machines")).toBe("/api/v1/machines");
  expect(urlOf("/machines/{id}/series", { path: { id: "a/b?c" }, query: { metric: "x,y", from: undefined, to: null, max_points: 500 } })).toBe("/api/v1/machines/a%2Fb%3Fc/series?metric=x%2Cy&max_points=500");
  expect(urlOf("/violations", { query: { label: ["rack=a1", "a&b"], limit: 0, is: false } })).toBe("/api/v1/violations?label=rack%3Da1&label=a%26b&limit=0&is=false");
});

test("a change names its version and who makes it, a question does not", async () => {
  const asked = answer(JSON.stringify({ id: "7", version: 4 }));
  preferences.set({ ...preferences.get(), operator: "jana" });
  await api.replaceThreshold({ id: "7", version: 3 }, { metric: "a.b", scope: { kind: "host" } });
  await api.threshold("7");
  const [change, question] = asked.map(({ url, init }) => ({ url, method: init.method, match: init.headers.get("If-Match"), operator: init.headers.get("X-Operator"), type: init.headers.get("Content-Type"), body: init.body }));
  expect(change).toEqual({ url: "/api/v1/thresholds/7", method: "PUT", match: '"3"', operator: "jana", type: "application/json", body: '{"metric":"a.b","scope":{"kind":"host"}}' });
  expect(question).toEqual({ url: "/api/v1/thresholds/7", method: "GET", match: null, operator: null, type: null, body: undefined });
});

test("what is not answered well is a failure with what the backend said", async () => {
  answer(JSON.stringify({ detail: "value: is missing" }), 422);
  await expect(api.catalog()).rejects.toEqual(new Failure("value: is missing", 422));
  answer("<h1>Bad Gateway</h1>", 502);
  await expect(api.catalog()).rejects.toEqual(new Failure("HTTP 502", 502));
  answer("<h1>Welcome to this network</h1>");
  await expect(api.catalog()).rejects.toMatchObject({ status: 0 });
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
  await expect(api.catalog()).rejects.toEqual(new Failure("Failed to fetch", 0));
  vi.stubGlobal("fetch", () => Promise.reject(new DOMException("aborted", "AbortError")));
  await expect(api.catalog()).rejects.toBeInstanceOf(DOMException);
});

test("an answer may be empty", async () => {
  answer(null, 204);
  expect(await api.deleteSilence({ id: "1", version: 1 })).toBeUndefined();
});
