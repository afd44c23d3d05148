// Writes each file of the build beside itself compressed, prints how large the page is, and fails when it is too large.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";

/** Bytes of the whole page as a browser gets it: all of it, in one language. */
const LIMIT = 150 * 1024;
/** Of these files a browser loads one. */
const LANGUAGE = /\/src\/text\/[a-z]{2}\.ts$/;

export function compress(): Plugin {
  return {
    name: "compress",
    apply: "build",
    writeBundle(options, bundle) {
      let total = 0;
      let largest = 0;
      for (const [name, file] of Object.entries(bundle)) {
        const path = join(options.dir ?? "dist", name);
        const compressed = gzipSync(readFileSync(path), { level: 9 });
        writeFileSync(`${path}.gz`, compressed);
        if (file.type === "chunk" && LANGUAGE.test(file.facadeModuleId ?? "")) largest = Math.max(largest, compressed.length);
        else total += compressed.length;
      }
      total += largest;
      const kib = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;
      if (total > LIMIT) throw new Error(`the page has ${kib(total)} compressed, the limit is ${kib(LIMIT)}`);
      console.log(`\nthe whole page: ${kib(total)} compressed, of at most ${kib(LIMIT)}`);
    },
  };
}
