// What is published, into `dist`: modules and types by tsc; the style sheet; the service worker as one file that needs no
// bundler.

import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { copyFileSync, rmSync } from "node:fs";

process.chdir(import.meta.dirname);
rmSync("dist", { recursive: true, force: true });
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc"], { stdio: "inherit" });
copyFileSync("src/react/styles.css", "dist/styles.css");
await build({
  entryPoints: ["src/service-worker/ready.ts"],
  outfile: "dist/carillon-sw.js",
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  logLevel: "warning",
});
