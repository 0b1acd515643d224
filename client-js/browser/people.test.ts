// What people see and do, with the bell, the centre and the toasts.

import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ground, badge, bell, faults, pause, focused, spoken, titles, token, told, until } from "./ground.ts";

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
  await until(() => spoken(page), ([said = ""]) => said === "New notification: Your review was answered" || /^\d new notifications$/.test(said));
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
  expect(await focused(page)).toBe("Notifications");
  const passed: string[] = [];
  for (let step = 0; step < 8; step += 1) {
    await page.keyboard.press("Tab");
    passed.push((await focused(page)).replace(/:.*/, ""));
  }
  expect(passed).toEqual(["Settings", "Close", "All", "Unread4", "Mark all as read", "Your review was answered", "Mark as read", "Delete"]);
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await until(() => badge(page), (text) => text === "3");
  await page.keyboard.press("Escape");
  await until(() => page.locator(".carillon-center[open]").count(), (count) => count === 0);
  expect(await page.evaluate(() => document.activeElement?.classList.contains("carillon-bell"))).toBe(true);
});

test("by keyboard alone: what goes away leaves the focus to the next one, and screen readers hear what was done", async () => {
  const user = ground.person();
  for (const title of ["A", "B", "C", "D"]) await ground.send(user, title);
  const page = await ground.page(await ground.device(), user);
  await until(() => badge(page), (text) => text === "4");
  await bell(page).focus();
  await page.keyboard.press("Enter");
  await until(() => titles(page), (all) => all.length === 4);
  const press = async (name: string, of: string) => {
    await page.locator("article", { hasText: `About ${of}.` }).getByRole("button", { name, exact: true }).focus();
    await page.keyboard.press("Enter");
  };
  const heard = () => spoken(page).then((all) => all.join());
  await press("Delete", "C");
  await until(() => titles(page), (all) => all.join() === "D,B,A");
  expect(await focused(page)).toBe("Delete: B");
  await until(heard, (said) => said.includes("Deleted: C"));
  await press("Delete", "A");
  await until(() => titles(page), (all) => all.join() === "D,B");
  expect(await focused(page)).toBe("Delete: B");
  await press("Mark as read", "B");
  await until(heard, (said) => said.includes("Marked as read: B"));
  expect(await focused(page)).toBe("Mark as unread: B");
  await page.keyboard.press("Enter");
  await until(heard, (said) => said.includes("Marked as unread: B"));

  // Among the unread, what is read goes away.
  await page.getByRole("button", { name: /^Unread/ }).click();
  await until(() => titles(page), (all) => all.length === 2);
  await press("Mark as read", "D");
  await until(() => titles(page), (all) => all.join() === "B");
  expect(await focused(page)).toBe("Mark as read: B");
  // Nor is it lost when it goes because of another device, once the server has all that was done here.
  await until(() => page.evaluate(() => Object.keys(localStorage).filter((key) => key.includes(":mark:")).length), (waiting) => waiting === 0);
  await ground.ask("POST", "/api/v1/notifications/read-all", token(user));
  await until(() => titles(page), (all) => all.length === 0);
  await until(() => focused(page), (now) => now === "You have read everything.");

  await page.getByRole("button", { name: "All", exact: true }).click();
  await ground.send(user, "E");
  await until(heard, (said) => said.includes("New notification: E"));
  await until(() => badge(page), (text) => text === "1");
  await page.getByRole("button", { name: "Mark all as read" }).focus();
  await page.keyboard.press("Enter");
  await until(heard, (said) => said.includes("All marked as read."));
  expect(await focused(page)).toBe("Mark all as read");
  await ground.send(user, "F");
  await ground.send(user, "G");
  await until(heard, (said) => said.includes("2 new notifications") || said.includes("New notification: G"));

  await page.getByRole("button", { name: "Settings" }).focus();
  await page.keyboard.press("Enter");
  expect(await focused(page)).toBe("Notification settings");
  await page.getByRole("button", { name: "Back" }).focus();
  await page.keyboard.press("Enter");
  expect(await focused(page)).toBe("Settings");
});

test("in a drawer over the page, screen readers hear what comes from inside it", async () => {
  const user = ground.person();
  const page = await ground.page(await ground.device({ viewport: { width: 390, height: 844 } }), user, { words: "el" });
  await bell(page).click();
  await page.getByText("Δεν υπάρχει τίποτα εδώ ακόμη.").waitFor();
  await ground.send(user, "Παραγγελία");
  await until(() => page.locator("dialog .carillon-hidden[role=status]").allTextContents(), (all) => all.includes("Νέα ειδοποίηση: Παραγγελία"));
  await page.getByRole("button", { name: "Διαγραφή" }).click();
  await until(() => page.locator("dialog .carillon-hidden[role=status]").allTextContents(), (all) => all.includes("Διαγράφηκε: Παραγγελία"));
});

test("a toast that is dismissed by keyboard leaves the focus to the next one, and the last to where it came from", async () => {
  const user = ground.person();
  const page = await ground.page(await ground.device(), user);
  for (const title of ["A", "B"]) await ground.send(user, title, { priority: "urgent" });
  await until(() => page.locator(".carillon-toast").count(), (count) => count === 2);
  await bell(page).focus();
  await page.keyboard.press("Tab");
  expect(await focused(page)).toBe("Dismiss");
  await page.keyboard.press("Enter");
  await until(() => page.locator(".carillon-toast").count(), (count) => count === 1);
  expect(await focused(page)).toBe("Dismiss");
  await page.keyboard.press("Enter");
  await until(() => page.locator(".carillon-toast").count(), (count) => count === 0);
  expect(await page.evaluate(() => document.activeElement?.classList.contains("carillon-bell"))).toBe(true);
});

test("what people read is of the locale, all of it", async () => {
  const user = ground.person();
  await some(user);
  const page = await ground.page(await ground.device(), user, { words: "marked", showPreferences: true, namesTypes: false });
  await until(() => badge(page), (text) => text === "4");
  await ground.send(user, "Order 1042 was shipped", { message: "Soon." });
  await until(() => page.locator(".carillon-toast").count(), (count) => count === 1);
  await page.getByLabel("⟦Keep quiet at certain hours⟧").check();
  await page.getByLabel("⟦Sum up for me what came⟧").check();
  await page.getByLabel("⟦How often⟧").selectOption("weekly");
  await bell(page).click();
  await until(() => titles(page), (all) => all.length === 5);
  const unmarked = () =>
    page.evaluate(() => {
      const said: string[] = [];
      // What senders wrote, what the platform writes in the language of the words, and what has the same name everywhere.
      const theirs = "article h3, article p, time, .carillon-toast, .carillon-badge, .carillon-count, option, .carillon-days label";
      for (const root of document.querySelectorAll(".carillon")) {
        for (const one of [root, ...root.querySelectorAll("*")]) {
          for (const name of ["aria-label", "title", "placeholder", "alt"]) said.push(one.matches("time") ? "" : (one.getAttribute(name) ?? ""));
          if (one.closest(theirs) === null) for (const node of one.childNodes) if (node.nodeType === 3) said.push(node.textContent ?? "");
        }
      }
      return [...new Set(said.map((one) => one.replace(/⟦.*?⟧/gs, "").trim()))].filter((one) => /\p{L}/u.test(one));
    });
  // Kinds without a name of their own are called by their type.
  expect(await unmarked()).toEqual([]);
  await page.getByRole("button", { name: "⟦Settings⟧" }).click();
  await page.locator(".carillon-center fieldset").first().waitFor();
  expect(await unmarked()).toEqual([]);
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
