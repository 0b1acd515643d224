// What happens when something between people and server does not work; and what tabs do for each other.

import { afterAll, beforeAll, expect, test } from "vitest";
import { Ground, badge, bell, connected, pause, status, titles, told, until } from "./ground.ts";

let ground: Ground;

beforeAll(async () => {
  ground = await Ground.make();
});
afterAll(() => ground.end());

for (const transport of ["socketIo", "webSocket"] as const) {
  test(`offline, then back, by ${transport}: what came meanwhile is there, each told once, and what was done is kept`, async () => {
    const user = ground.person();
    const device = await ground.device();
    const page = await ground.page(device, user, { transport });
    await ground.send(user, "A");
    await ground.send(user, "B");
    await until(() => badge(page), (text) => text === "2");
    await device.setOffline(true);
    await until(() => status(page), (now) => now === "offline");
    await ground.send(user, "C");
    await bell(page).click();
    await page.locator("article", { hasText: "About A." }).getByRole("button", { name: "Mark as read" }).click();
    await until(() => badge(page), (text) => text === "1");
    await page.getByText("You are offline.").waitFor();
    await pause(1500);
    expect(await page.getByText("You are offline.").isVisible()).toBe(true);
    expect(await ground.unread(user)).toBe(3);
    await device.setOffline(false);
    const began = Date.now();
    await until(() => told(page), (all) => all.includes("C"));
    expect(Date.now() - began).toBeLessThan(5000);
    await until(() => ground.unread(user), (count) => count === 2);
    await until(() => titles(page), (all) => all.length === 3);
    await until(() => badge(page), (text) => text === "2");
    expect(await told(page)).toEqual(["A", "B", "C"]);
    expect(await page.evaluate(() => window.missed)).toEqual(["C"]);
    await device.close();
  });

  test(`the server is killed, and started again: nothing is lost, nothing comes twice, by ${transport}`, async () => {
    const user = ground.person();
    const device = await ground.device();
    const page = await ground.page(device, user, { transport });
    await ground.send(user, "A");
    await until(() => told(page), (all) => all.length === 1);
    await ground.kill();
    await until(() => status(page), (now) => now !== "open");
    await ground.start();
    await ground.send(user, "B");
    await connected(page);
    await ground.send(user, "C");
    await until(() => told(page), (all) => all.length === 3);
    expect(await told(page)).toEqual(["A", "B", "C"]);
    await until(() => badge(page), (text) => text === "3");
    await device.close();
  });
}

test("two tabs share one socket; when its tab is closed, the other takes over and misses nothing", async () => {
  const user = ground.person();
  await until(() => ground.sockets(), (count) => count === 0);
  const device = await ground.device();
  const one = await ground.page(device, user);
  const other = await ground.page(device, user);
  await pause(4000);
  expect(await ground.sockets()).toBe(1);
  expect(await other.evaluate(() => window.client.connection.getSnapshot().socket)).toBe("another tab's");
  await ground.send(user, "A");
  await until(() => told(one), (all) => all.length === 1);
  await until(() => told(other), (all) => all.length === 1);

  await bell(other).click();
  await other.getByRole("button", { name: "Mark as read" }).click();
  await until(() => badge(one), (text) => text === "");

  await one.close();
  await ground.send(user, "B");
  await until(() => told(other), (all) => all.length === 2);
  await connected(other);
  await ground.send(user, "C");
  await until(() => told(other), (all) => all.length === 3);
  expect(await told(other)).toEqual(["A", "B", "C"]);
  expect(await ground.sockets()).toBe(1);
  expect(await other.evaluate(() => window.client.connection.getSnapshot().socket)).toBe("shared");
  await device.close();
});

test("tabs of two people share nothing", async () => {
  await until(() => ground.sockets(), (count) => count === 0);
  const device = await ground.device();
  const [ana, ben] = [ground.person(), ground.person()];
  const one = await ground.page(device, ana);
  const other = await ground.page(device, ben);
  await ground.send(ana, "For Ana");
  await until(() => told(one), (all) => all.length === 1);
  await pause(300);
  expect(await told(other)).toEqual([]);
  expect(await ground.sockets()).toBe(2);
  await device.close();
});

test("a tab that holds the lock and says nothing keeps nobody waiting", async () => {
  await until(() => ground.sockets(), (count) => count === 0);
  const device = await ground.device();
  const user = ground.person();
  const silent = await device.newPage();
  await silent.addInitScript(() => {
    window.BroadcastChannel = class {
      postMessage() {}
      close() {}
    } as unknown as typeof BroadcastChannel;
  });
  const one = await ground.page(device, user, {}, silent);
  const other = await ground.page(device, user);
  expect(await ground.sockets()).toBe(2);
  expect(await other.evaluate(() => window.client.connection.getSnapshot().socket)).toBe("own");
  await ground.send(user, "A");
  for (const page of [one, other]) await until(() => told(page), (all) => all.length === 1);
  await device.close();
});

test("without locks a tab has a socket of its own", async () => {
  await until(() => ground.sockets(), (count) => count === 0);
  const device = await ground.device();
  await device.addInitScript(() => Object.defineProperty(navigator, "locks", { value: undefined }));
  const user = ground.person();
  const pages = [await ground.page(device, user), await ground.page(device, user)];
  expect(await ground.sockets()).toBe(2);
  await ground.send(user, "A");
  for (const page of pages) await until(() => told(page), (all) => all.length === 1);
  await device.close();
});

test("where Socket.IO gets through only by polling, it does", async () => {
  const device = await ground.device();
  await device.addInitScript(() => {
    // As behind a proxy that knows no WebSockets.
    window.WebSocket = class {
      onerror: ((event: Event) => void) | null = null;
      constructor() {
        setTimeout(() => this.onerror?.(new Event("error")), 10);
      }
      close() {}
    } as unknown as typeof WebSocket;
  });
  const user = ground.person();
  const page = await ground.page(device, user);
  await ground.send(user, "A");
  await until(() => told(page), (all) => all.length === 1);
  await device.close();
});
