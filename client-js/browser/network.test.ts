// What happens when something between people and server does not work; and what tabs do for each other.

import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Ground, badge, bell, connected, pause, status, titles, told, until } from "./ground.ts";

let ground: Ground;

beforeAll(async () => {
  ground = await Ground.make();
});
// What one test opened does not count in the next, even if it failed.
afterEach(() => ground.leave());
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
    await until(() => told(page), (all) => all.includes("C"));
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

test("what is read offline is read in every tab, is sent once, and outlives the tab it was read in", async () => {
  const user = ground.person();
  await until(() => ground.sockets(), (count) => count === 0);
  const device = await ground.device();
  const one = await ground.page(device, user);
  const other = await ground.page(device, user);
  for (const title of ["A", "B", "C"]) await ground.send(user, title);
  for (const page of [one, other]) await until(() => badge(page), (text) => text === "3");
  await device.setOffline(true);
  for (const page of [one, other]) await until(() => status(page), (now) => now === "offline");
  for (const page of [one, other]) await bell(page).click();
  await other.locator("article", { hasText: "About A." }).getByRole("button", { name: "Mark as read" }).click();
  await until(() => badge(one), (text) => text === "2");
  await one.locator("article", { hasText: "About B." }).getByRole("button", { name: "Delete" }).click();
  await until(() => titles(other), (all) => all.join() === "C,A");
  expect(await ground.unread(user)).toBe(3);
  const sent: string[] = [];
  for (const page of [one, other]) {
    page.on("request", (request) => {
      if (["PUT", "DELETE"].includes(request.method())) sent.push(request.method());
    });
  }
  // The one that would have sent it is gone before it could.
  await other.close();
  await device.setOffline(false);
  await until(() => ground.unread(user), (count) => count === 1);
  await until(() => titles(one), (all) => all.join() === "C,A");
  await until(() => badge(one), (text) => text === "1");
  expect(sent.sort()).toEqual(["DELETE", "PUT"]);
  await device.close();
});

for (const transport of ["socketIo", "webSocket"] as const) {
  test(`one that is read is told of once in each tab, and what is gone is refused with a reason, by ${transport}`, async () => {
    const user = ground.person();
    await until(() => ground.sockets(), (count) => count === 0);
    const device = await ground.device();
    const one = await ground.page(device, user, { transport });
    const other = await ground.page(device, user, { transport });
    const { uuid } = await ground.send(user, "A");
    for (const page of [one, other]) await until(() => badge(page), (text) => text === "1");
    // The server says that this device has it.
    await pause(700);
    const changed = (page: Page) => page.evaluate(() => window.changed);
    expect(await other.evaluate((id) => window.client.read(id), uuid as string)).toBe(true);
    for (const page of [one, other]) await until(() => changed(page), (all) => all.length > 0);
    await pause(700);
    for (const page of [one, other]) expect(await changed(page)).toEqual(["one read"]);

    const gone = "00000000-0000-7000-8000-000000000000";
    expect(await other.evaluate((id) => window.client.read(id), gone)).toBe(false);
    await until(() => other.evaluate(() => window.refused), (all) => all.join() === "read not_found");
    await other.locator(".carillon-toast", { hasText: "That was not done: It is not there any more." }).waitFor();
    expect(await one.evaluate(() => window.refused)).toEqual([]);
    await device.close();
  });
}

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
