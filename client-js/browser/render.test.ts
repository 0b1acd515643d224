// A page that was rendered on a server goes on in the browser as it was.

import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createElement as h } from "react";
import { renderToString } from "react-dom/server";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { NotificationBell, NotificationPreferences, NotificationProvider, NotificationToasts } from "carillon-client/react";
import { es } from "carillon-client/locales";
import { BUILT, packageHere } from "./build.ts";
import { Ground, badge, token, until } from "./ground.ts";

let ground: Ground;
beforeAll(async () => {
  ground = await Ground.make();
});
afterAll(() => ground.end());

test("what a server rendered is taken over without a fault, and comes to life", async () => {
  const user = ground.person();
  const root = `${BUILT}-rendered`;
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  const options = { url: ground.url, token: token(user) };
  const inside = [h(NotificationBell, { key: 1 }), h(NotificationPreferences, { key: 2 }), h(NotificationToasts, { key: 3 })];
  const rendered = renderToString(h(NotificationProvider, { options, words: es }, ...inside));
  expect(rendered).toContain("Notificaciones, ninguna sin leer");
  writeFileSync(
    `${root}/main.tsx`,
    `import { NotificationBell, NotificationPreferences, NotificationProvider, NotificationToasts } from "carillon-client/react";
     import { es } from "carillon-client/locales";
     import { createElement as h } from "react";
     import { hydrateRoot } from "react-dom/client";
     window.faults = [];
     hydrateRoot(document.getElementById("root"), h(NotificationProvider, { options: ${JSON.stringify(options)}, words: es },
       h(NotificationBell, { key: 1 }), h(NotificationPreferences, { key: 2 }), h(NotificationToasts, { key: 3 })),
       { onRecoverableError: (fault) => window.faults.push(String(fault)) });`,
  );
  writeFileSync(`${root}/index.html`, `<!doctype html><meta charset="utf-8" /><div id="root">${rendered}</div><script type="module" src="./main.tsx"></script>`);
  await build({ root, configFile: false, logLevel: "error", resolve: { alias: packageHere }, build: { outDir: "out" } });
  const files = new Map(readdirSync(`${root}/out/assets`).map((name) => [`/assets/${name}`, readFileSync(`${root}/out/assets/${name}`)]));
  files.set("/", readFileSync(`${root}/out/index.html`));
  const server = createServer(({ url = "/" }, answer) => {
    answer.writeHead(files.has(url) ? 200 : 404, { "Content-Type": url.endsWith(".js") ? "text/javascript" : "text/html" }).end(files.get(url));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const device = await ground.device();
  try {
    const page = await device.newPage();
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}`);
    await ground.send(user, "Hola");
    await until(() => badge(page), (text) => text === "1");
    await page.getByLabel("No molestar a ciertas horas").waitFor();
    expect(await page.evaluate(() => (window as unknown as { faults: string[] }).faults)).toEqual([]);
  } finally {
    server.close();
    await device.close();
  }
});
