import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

import { compress } from "./build/compress.ts";

// `npm run dev` shows the page of a backend that runs already.
const backend = process.env.BACKEND ?? "http://127.0.0.1:8004";

export default defineConfig({
  plugins: [react(), compress()],
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  worker: { format: "es" },
  server: { host: "127.0.0.1", proxy: { "/api": backend } },
});
