// The dashboard, in a real browser: it is opened, lives, is told by keyboard and screen reader, and fits a phone.
//
// CARILLON_SHOTS names a folder for pictures of each page.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ground, faults, until } from "./ground.ts";

const PAGES = ["", "/failures", "/timeline", "/nodes", "/audit", "/templates", "/templates/grade_update", "/new-template", "/nowhere"];
const LOOKS: [string, BrowserContextOptions][] = [
  ["desktop", { colorScheme: "light" }],
  ["desktop-dark", { colorScheme: "dark" }],
  ["phone", { colorScheme: "light", viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }],
  ["phone-dark", { colorScheme: "dark", viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }],
];

let ground: Ground;
let number: number;
const complaints: string[] = [];

beforeAll(async () => {
  ground = await Ground.make();
  for (let one = 0; one < 30; one++) {
    const { id } = await ground.send(ground.person(), `Order ${one}`);
    number = id as number;
  }
});
afterAll(() => ground.end());

async function opened(options: BrowserContextOptions, role: string): Promise<Page> {
  const device = await ground.device(options);
  const page = await device.newPage();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(`${page.url()}: ${message.text()}`));
  page.on("pageerror", (fault) => complaints.push(`${page.url()}: ${fault}`));
  await page.goto(`${ground.url}/dashboard`);
  expect(new URL(page.url()).pathname).toBe("/dashboard/login");
  if (options.javaScriptEnabled !== false) expect(await faults(page)).toEqual([]);
  await page.getByRole("button", { name: role, exact: true }).click();
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  return page;
}

const live = (page: Page) => page.locator("#live", { hasText: "Live" }).waitFor();
const connections = (page: Page) => page.locator("#part-cards .card", { hasText: "Connections" }).locator(".value").innerText();

test("one click in development; numbers change while it is looked at; logging out ends it", async () => {
  const page = await opened({}, "Admin");
  await live(page);
  expect(await connections(page)).toBe("0");
  const other = await ground.device();
  await ground.page(other, ground.person());
  await until(() => connections(page), (now) => now === "1");
  await other.close();
  await until(() => connections(page), (now) => now === "0");

  // The cookie is no script's.
  expect(await page.evaluate(() => document.cookie)).toBe("");
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByText("You are logged out.").waitFor();
  await page.goto(`${ground.url}/dashboard/nodes`);
  expect(new URL(page.url()).pathname).toBe("/dashboard/login");
  await page.context().close();
});

test("what somebody has in hand stays while the rest goes on", async () => {
  const page = await opened({}, "Viewer");
  await live(page);
  const link = page.locator("#part-status a");
  await link.focus();
  await link.evaluate((one) => one.setAttribute("data-mine", "yes"));
  const other = await ground.device();
  await ground.page(other, ground.person());
  await until(() => connections(page), (now) => now === "1");
  expect(await page.evaluate(() => document.activeElement?.getAttribute("data-mine"))).toBe("yes");
  await other.close();
  await page.context().close();
});

test("it comes back by itself when the server does", async () => {
  const page = await opened({}, "Viewer");
  await live(page);
  await ground.kill();
  await page.locator("#live", { hasText: "Connecting again" }).waitFor();
  await ground.start();
  await live(page);
  complaints.splice(0, complaints.length, ...complaints.filter((one) => !one.includes("ERR_")));
  await page.context().close();
});

test("without a script everything is there, and forms work", async () => {
  const page = await opened({ javaScriptEnabled: false }, "Admin");
  await page.getByRole("link", { name: "Templates" }).click();
  await page.getByRole("link", { name: "grade_update" }).click();
  await page.getByLabel("Title").fill("Plain {{ student_name }}");
  await page.getByLabel("Data, as JSON").fill("not JSON");
  await page.getByRole("button", { name: "Preview" }).click();
  await page.getByRole("alert").waitFor();
  expect(await page.getByLabel("Title").inputValue()).toBe("Plain {{ student_name }}");
  await page.context().close();
});

for (const [look, options] of LOOKS) {
  test(`every page is without fault, and fits: ${look}`, async () => {
    const page = await opened(options, "Admin");
    for (const path of [...PAGES, `/timeline?id=${number}&user=person-30`, "/audit?action=send"]) {
      await page.goto(`${ground.url}/dashboard${path}`);
      if (path === "" || path === "/nodes") await live(page);
      expect([path, await faults(page)]).toEqual([path, []]);
      const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect([path, tooWide]).toEqual([path, 0]);
      // By keyboard the first stop leads past the navigation.
      if (look === "desktop") {
        await page.keyboard.press("Tab");
        expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the content");
      }
      const shots = process.env.CARILLON_SHOTS;
      if (shots !== undefined) {
        mkdirSync(shots, { recursive: true });
        const name = path.replace(/\?.*/, "-found").replaceAll("/", "-") || "-overview";
        await page.mouse.click(1, 1);
        await page.screenshot({ path: join(shots, `${look}${name}.png`), fullPage: true });
      }
    }
    await page.context().close();
  });
}

test("no page jumps while it is told anew, and none complained", async () => {
  const page = await opened({}, "Admin");
  await live(page);
  await page.evaluate(() => {
    const jumps = ((window as unknown as { jumps: number[] }).jumps = []) as number[];
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => jumps.push((entry as unknown as { value: number }).value))).observe({ type: "layout-shift" });
  });
  for (let one = 0; one < 10; one++) await ground.send(ground.person(), `Late ${one}`);
  await until(() => page.locator("#part-cards").innerText(), (text) => text.includes("10 since the start"), 30_000);
  const jumps = await page.evaluate(() => (window as unknown as { jumps: number[] }).jumps);
  expect(jumps.reduce((sum, one) => sum + one, 0)).toBeLessThan(0.01);
  await page.context().close();
  // What is not there is 404, which browsers tell, too.
  expect(complaints.filter((one) => !one.includes("/nowhere"))).toEqual([]);
});
