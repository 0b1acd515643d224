// What people see and do, with the bell, the centre and the toasts.

import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ground, badge, bell, faults, pause, titles, told, until } from "./ground.ts";

const SEEN = resolve(import.meta.dirname, "seen");
let ground: Ground;

beforeAll(async () => {
  mkdirSync(SEEN, { recursive: true });
  ground = await Ground.make();
});
afterAll(() => ground.end());

const look = (page: Page, name: string) => page.screenshot({ path: `${SEEN}/${name}.png` });

async function some(user: string): Promise<void> {
  await ground.send(user, "Welcome", { message: "Good to have you here.\nLook around, and tell us what you think." });
  await ground.send(user, "Order 1041 was shipped", { action_url: "/orders/1041", message: "It should be with you on Thursday." });
  await ground.send(user, "Somebody signed in", { type: "security_alert", priority: "urgent", message: "From a browser that we have not seen before, in Thessaloniki." });
  await ground.send(user, "Your review was answered", { action_url: "https://shop.example/reviews/5", message: "Thank you! We are glad that the lamp found a good place." });
}

test("the bell rings, counts, and opens what there is; one is read, all are read, one is deleted", async () => {
  const user = ground.person();
  const page = await ground.page(await ground.device(), user);
  expect(await badge(page)).toBe("");
  await some(user);
  await until(() => badge(page), (text) => text === "4");
  expect(await bell(page).getAttribute("aria-label")).toBe("Notifications, 4 unread");
  await until(() => page.locator(".carillon-toast").count(), (shown) => shown === 3);
  expect(await page.locator(".carillon-hidden[role=status]").textContent()).toBe("New notification: Your review was answered");
  await look(page, "toasts-desktop");

  await bell(page).click();
  await until(() => titles(page), (all) => all.length === 4);
  expect(await titles(page)).toEqual(["Your review was answered", "Somebody signed in", "Order 1041 was shipped", "Welcome"]);
  await pause(200);
  await look(page, "centre-desktop");

  await page.locator("article", { hasText: "Welcome" }).getByRole("button", { name: "Mark as read" }).click();
  await until(() => badge(page), (text) => text === "3");
  await until(() => ground.unread(user), (count) => count === 3);
  await page.locator("article", { hasText: "Order 1041" }).getByRole("button", { name: "Delete" }).click();
  await until(() => titles(page), (all) => all.length === 3);
  await until(() => ground.unread(user), (count) => count === 2);
  await page.getByRole("button", { name: /^Unread/ }).click();
  await until(() => titles(page), (all) => all.length === 2);
  await page.getByRole("button", { name: "Mark all as read" }).click();
  await until(() => ground.unread(user), (count) => count === 0);
  await until(() => page.getByText("You have read everything.").count(), (count) => count === 1);
  expect(await badge(page)).toBe("");
});

test("pages come one after another, and live ones stand above", async () => {
  const user = ground.person();
  for (let sent = 1; sent <= 45; sent += 1) await ground.send(user, `N${sent}`);
  const page = await ground.page(await ground.device(), user);
  await bell(page).click();
  await until(() => titles(page), (all) => all.length === 20);
  await page.getByRole("button", { name: "Show older" }).click();
  await until(() => titles(page), (all) => all.length === 40);
  await ground.send(user, "N46");
  await until(() => titles(page), (all) => all[0] === "N46");
  await page.getByRole("button", { name: "Show older" }).click();
  await until(() => titles(page), (all) => all.length === 46);
  expect(await titles(page)).toEqual(Array.from({ length: 46 }, (_, at) => `N${46 - at}`));
  expect(await page.getByRole("button", { name: "Show older" }).count()).toBe(0);
  await until(() => badge(page), (text) => text === "46");
});

for (const transport of ["socketIo", "webSocket"] as const) {
  test(`what is read or removed on one device shows on the other at once, by ${transport}`, async () => {
    const user = ground.person();
    const one = await ground.page(await ground.device(), user);
    const other = await ground.page(await ground.device(), user, { transport });
    await ground.send(user, "A");
    await ground.send(user, "B");
    await until(() => badge(other), (text) => text === "2");
    await bell(one).click();
    await one.locator("article", { hasText: "About A." }).getByRole("button", { name: "Mark as read" }).click();
    await until(() => badge(other), (text) => text === "1");
    await one.locator("article", { hasText: "About A." }).getByRole("button", { name: "Mark as unread" }).click();
    await until(() => badge(other), (text) => text === "2");
    await one.locator("article", { hasText: "About B." }).getByRole("button", { name: "Delete" }).click();
    await until(() => badge(other), (text) => text === "1");
    await one.getByRole("button", { name: "Mark all as read" }).click();
    await until(() => badge(other), (text) => text === "");
  });
}

test("text stays text, and addresses that are none lead nowhere", async () => {
  const user = ground.person();
  const page = await ground.page(await ground.device(), user);
  const evil = `<img src=x onerror="window.pwned=true"><script>window.pwned=true</script>`;
  await ground.send(user, evil, { message: evil, type: evil.slice(0, 100), priority: "urgent", data: { html: evil } });
  await until(() => badge(page), (text) => text === "1");
  await bell(page).click();
  await until(() => titles(page), (all) => all[0] === evil);
  await pause(300);
  expect(await page.evaluate(() => window.pwned)).toBeUndefined();
  expect(await page.locator(".carillon img, .carillon script").count()).toBe(0);
  await expect(ground.send(user, "x", { action_url: "javascript:alert(1)" })).rejects.toThrow("422");
});

test("languages change while the page is there", async () => {
  const user = ground.person();
  const page = await ground.page(await ground.device(), user);
  await ground.send(user, "Παραγγελία");
  await until(() => badge(page), (text) => text === "1");
  for (const [language, label, all] of [
    ["el", "Ειδοποιήσεις, 1 μη αναγνωσμένη", "Σήμανση όλων ως αναγνωσμένων"],
    ["es", "Notificaciones, 1 sin leer", "Marcar todo como leído"],
    ["en", "Notifications, 1 unread", "Mark all as read"],
  ] as const) {
    await page.getByLabel("Language").selectOption(language);
    expect(await bell(page).getAttribute("aria-label")).toBe(label);
    await bell(page).click();
    await page.getByRole("button", { name: all }).waitFor();
    if (language === "el") await look(page, "centre-greek");
    await page.keyboard.press("Escape");
  }
});

test("by keyboard alone: open, go through, read, close, and be where one was", async () => {
  const user = ground.person();
  await some(user);
  const page = await ground.page(await ground.device(), user);
  await until(() => badge(page), (text) => text === "4");
  await bell(page).focus();
  await page.keyboard.press("Enter");
  await until(() => titles(page), (all) => all.length === 4);
  const focused = () => page.evaluate(() => document.activeElement?.textContent || document.activeElement?.getAttribute("aria-label") || "");
  expect(await focused()).toBe("Notifications");
  const passed: string[] = [];
  for (let step = 0; step < 8; step += 1) {
    await page.keyboard.press("Tab");
    passed.push(await focused());
  }
  expect(passed).toEqual(["Settings", "Close", "All", "Unread4", "Mark all as read", "Your review was answered", "Mark as read", "Delete"]);
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await until(() => badge(page), (text) => text === "3");
  await page.keyboard.press("Escape");
  await until(() => page.locator(".carillon-center[open]").count(), (count) => count === 0);
  expect(await page.evaluate(() => document.activeElement?.classList.contains("carillon-bell"))).toBe(true);
});

for (const [name, options] of [
  ["desktop", {}],
  ["desktop-dark", { colorScheme: "dark" }],
  ["mobile", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 }],
  ["mobile-dark", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2, colorScheme: "dark" }],
] as const) {
  test(`nothing to find fault with: ${name}`, async () => {
    const user = ground.person();
    const device = await ground.device({ ...options });
    const page = await ground.page(device, user);
    await some(user);
    await until(() => badge(page), (text) => text === "4");
    await until(() => page.locator(".carillon-toast").count(), (count) => count === 3);
    expect(await faults(page)).toEqual([]);
    await look(page, `toasts-${name}`);
    await bell(page).click();
    await until(() => titles(page), (all) => all.length === 4);
    await page.locator("article", { hasText: "Welcome" }).getByRole("button", { name: "Mark as read" }).click();
    await until(() => badge(page), (text) => text === "3");
    await pause(300);
    expect(await faults(page)).toEqual([]);
    await look(page, `centre-${name}`);
    await page.getByRole("button", { name: "Settings" }).click();
    await page.getByLabel("Keep quiet at certain hours").check();
    await page.getByLabel("From").waitFor();
    await until(() => page.locator(".carillon-preferences > .carillon-saving").textContent(), (text) => text === "Saved.");
    expect(await faults(page)).toEqual([]);
    await look(page, `preferences-${name}`);
    await page.getByRole("button", { name: "Close" }).click();
    await device.close();
  });
}

test("an empty inbox says so", async () => {
  const page = await ground.page(await ground.device(), ground.person());
  await bell(page).click();
  await page.getByText("Nothing here yet.").waitFor();
  expect(await faults(page)).toEqual([]);
  expect(await told(page)).toEqual([]);
});
