// The three ways in, as README.md has them: each is built and run, against the real server. The README of the whole says the same.

import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BUILT, packageHere } from "./build.ts";
import { Ground, token, until } from "./ground.ts";

const [README, WHOLE] = ["../README.md", "../../README.md"].map((path) => readFileSync(resolve(import.meta.dirname, path), "utf8"));
/** The block of code behind a heading. */
function block(readme: string | undefined, heading: string): string {
  const [, behind = ""] = readme?.split(`### ${heading}\n`) ?? [];
  return /```tsx?\n([\s\S]*?)```/.exec(behind)?.[1] ?? "";
}

let ground: Ground;
beforeAll(async () => {
  ground = await Ground.make();
});
afterAll(() => ground.end());

for (const [heading, seen] of [
  ["1. The stock `socket.io-client`", "Order shipped: It is on its way."],
  ["2. Our client", "● Order shipped"],
  ["3. React", "Order shipped"],
] as const) {
  test(`README.md, ${heading}`, async () => {
    const user = ground.person();
    const root = `${BUILT}-readme`;
    rmSync(root, { recursive: true, force: true });
    mkdirSync(root, { recursive: true });
    const code = block(README, heading);
    expect(code).toContain("http://127.0.0.1:5002");
    expect(block(WHOLE, heading)).toBe(code);
    writeFileSync(`${root}/main.tsx`, code.replace("http://127.0.0.1:5002", ground.url));
    writeFileSync(`${root}/index.html`, `<!doctype html><div id="root"></div><script type="module" src="./main.tsx"></script>`);
    await build({
      root,
      configFile: false,
      logLevel: "error",
      define: { "import.meta.env.VITE_TOKEN": JSON.stringify(token(user)) },
      resolve: { alias: packageHere },
      build: { outDir: "out" },
    });
    const files = new Map(readdirSync(`${root}/out/assets`).map((name) => [`/assets/${name}`, readFileSync(`${root}/out/assets/${name}`)]));
    files.set("/", readFileSync(`${root}/out/index.html`));
    const server = createServer(({ url = "/" }, answer) => {
      const kind = url.endsWith(".js") ? "text/javascript" : url.endsWith(".css") ? "text/css" : "text/html";
      answer.writeHead(files.has(url) ? 200 : 404, { "Content-Type": kind }).end(files.get(url));
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const device = await ground.device();
    try {
      const page = await device.newPage();
      const faults: string[] = [];
      page.on("pageerror", (fault) => faults.push(String(fault)));
      await page.goto(`http://localhost:${(server.address() as AddressInfo).port}`);
      await until(() => ground.sockets(), (count) => count === 1);
      await ground.send(user, "Order shipped", { message: "It is on its way.", action_url: "/orders/5" });
      if (heading === "3. React") {
        await page.getByRole("button", { name: "Notifications, 1 unread" }).click();
        await page.locator("article").getByRole("link", { name: seen }).waitFor();
      } else await until(() => page.locator("body").textContent(), (text) => text?.includes(seen) ?? false);
      if (heading === "2. Our client") {
        await page.getByRole("button", { name: "Read all 1" }).click();
        await until(() => ground.unread(user), (count) => count === 0);
      }
      expect(faults).toEqual([]);
    } finally {
      server.close();
      await device.close();
    }
  });
}
