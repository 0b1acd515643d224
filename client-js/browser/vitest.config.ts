import { defineConfig } from "vitest/config";

// Each file has a server of its own; within one, tests come one after another: they measure what is connected. Most of the time
// is waiting, so there may be more files at once than cores.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["*.test.ts"],
    globalSetup: "./build.ts",
    maxWorkers: 4,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
