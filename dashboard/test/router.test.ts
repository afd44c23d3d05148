import { expect, test, vi } from "vitest";

test("a path is a view, and a crooked one is nowhere", async () => {
  vi.stubGlobal("addEventListener", () => undefined);
  const { viewOf } = await import("../src/router.ts");
  const check = (path: string, expected: object) => expect(viewOf(path), path).toEqual(expected);
  check("/", { name: "hosts" });
  check("/hosts/12", { name: "machine", kind: "host", id: "12" });
  check("/containers/a%2Fb", { name: "machine", kind: "container", id: "a/b" });
  check("/violations/7", { name: "violations", id: "7" });
  check("/thresholds/new", { name: "threshold", id: "new" });
  for (const path of ["/hosts/%ZZ", "/silences/%", "/%ZZ", "/%ZZ/1", "/nix", "/hosts/1/x", "/violations/x"]) check(path, { name: "nowhere" });
});
