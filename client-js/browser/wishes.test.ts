// What people want to hear, set by themselves; and pushes, as far as a browser without a push service can show them.

import { resolve } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ground, badge, bell, faults, pause, token, told, until } from "./ground.ts";

const SEEN = resolve(import.meta.dirname, "seen");
let ground: Ground;

beforeAll(async () => {
  ground = await Ground.make();
});
afterAll(() => ground.end());

const saved = (page: Page) => until(() => page.locator(".carillon-preferences > .carillon-saving").textContent(), (text) => text === "Saved.");
const preferences = (user: string) => ground.ask("GET", "/api/v1/notifications/preferences", token(user));

test("what is switched off does not come, and what must come cannot be switched off", async () => {
  const user = ground.person();
  const page = await ground.page(await ground.device(), user, { showPreferences: true });
  const security = page.getByLabel("Security alerts: Here");
  await security.waitFor();
  expect(await security.isDisabled()).toBe(true);
  await page.getByLabel("Newsletter: Here").uncheck();
  await page.getByLabel("Orders: E-mail").uncheck();
  await saved(page);
  expect((await preferences(user)).types).toEqual({
    newsletter: { in_app: false, email: true, push: true, sms: true },
    order_status: { in_app: true, email: false, push: true, sms: true },
  });
  await ground.send(user, "News", { type: "newsletter" });
  await ground.send(user, "Order");
  await until(() => told(page), (all) => all.length > 0);
  await pause(300);
  expect(await told(page)).toEqual(["Order"]);
  await until(() => badge(page), (text) => text === "1");
  await page.reload();
  await until(() => page.getByLabel("Newsletter: Here").isChecked(), (isOn) => !isOn);
});

test("where the page names no kinds, those are offered that the server knows", async () => {
  const user = ground.person();
  await ground.send(user, "Hello", { type: "greeting" });
  const page = await ground.page(await ground.device(), user, { showPreferences: true, namesTypes: false });
  await page.getByLabel("Greeting: Here").uncheck();
  await page.getByLabel("Security alerts: Here").waitFor();
  await saved(page);
  expect((await preferences(user)).types).toEqual({ greeting: { in_app: false, email: true, push: true, sms: true } });
});

test("a change that the server refuses is taken back, and said", async () => {
  const user = ground.person();
  const page = await ground.page(await ground.device(), user, { showPreferences: true });
  await page.getByLabel("Newsletter: Here").waitFor();
  await page.route("**/preferences", async (route) => {
    if (route.request().method() !== "PUT") return route.continue();
    return route.fulfill({ status: 503, headers: { "Access-Control-Allow-Origin": "*" }, json: { code: "storage_unavailable", detail: "Not now." } });
  });
  await page.getByLabel("Newsletter: Here").click();
  await page.getByText("The server cannot save just now. Try again later.").waitFor();
  await until(() => page.getByLabel("Newsletter: Here").isChecked(), (isOn) => isOn);
});

for (const [words, quiet, from, until_, differ, away] of [
  ["en", "Keep quiet at certain hours", "From", "Until", "Quiet hours need a start and an end that differ. Change one of them.", "No answer came. Check your connection and try again."],
  ["el", "Ησυχία ορισμένες ώρες", "Από", "Έως", "Οι ώρες ησυχίας χρειάζονται αρχή και τέλος που διαφέρουν. Αλλάξτε ένα από τα δύο.", "Δεν ήρθε απάντηση. Ελέγξτε τη σύνδεσή σας και δοκιμάστε ξανά."],
  ["es", "No molestar a ciertas horas", "Desde", "Hasta", "Las horas de silencio necesitan un principio y un final distintos. Cambie uno de los dos.", "No hubo respuesta. Compruebe su conexión e inténtelo de nuevo."],
] as const) {
  test(`why a change was not kept is said in the language of the page: ${words}`, async () => {
    const user = ground.person();
    const device = await ground.device();
    const page = await ground.page(device, user, { showPreferences: true, words });
    await page.getByLabel(quiet).check();
    await page.getByLabel(from, { exact: true }).fill("21:00");
    await until(() => preferences(user), ({ quiet_hours: hours }) => (hours as { start?: string } | null)?.start === "21:00");
    await page.getByLabel(until_, { exact: true }).fill("21:00");
    await page.locator("[data-failed=true]", { hasText: differ }).waitFor();
    await until(() => page.getByLabel(until_, { exact: true }).inputValue(), (time) => time === "07:00");
    await device.setOffline(true);
    await page.getByLabel(quiet).click();
    await page.locator("[data-failed=true]", { hasText: away }).waitFor();
    expect(await page.locator(".carillon-saving").count()).toBe(1);
    await device.close();
  });
}

test("preferences that could not be read say why, and are there once the network is", async () => {
  const user = ground.person();
  const device = await ground.device();
  const page = await ground.page(device, user, { words: "el" });
  await bell(page).click();
  await device.setOffline(true);
  await page.getByRole("button", { name: "Ρυθμίσεις" }).click();
  await page.getByText("Δεν ήρθε απάντηση. Ελέγξτε τη σύνδεσή σας και δοκιμάστε ξανά.").waitFor();
  await device.setOffline(false);
  await page.getByLabel("Ησυχία ορισμένες ώρες").waitFor();
  await device.close();
});

test("in quiet hours nothing rings but what is urgent; it rings when they are over", async () => {
  const user = ground.person();
  const page = await ground.page(await ground.device({ timezoneId: "Europe/Athens" }), user, { showPreferences: true });
  const device = await ground.device();
  const left = await ground.page(device, user, { transport: "webSocket" });
  await ground.send(user, "Before");
  for (const one of [page, left]) await until(() => told(one), (all) => all.length === 1);
  await left.close();
  await page.getByLabel("Keep quiet at certain hours").check();
  await saved(page);
  expect((await preferences(user)).time_zone).toBe("Europe/Athens");
  const clock = (at: number) => new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "Europe/Athens" }).format(at);
  // To end with the next full minute; with the one after it if that is near (a page has to be opened before it).
  const end = Math.ceil((Date.now() + 40_000) / 60_000) * 60_000;
  await page.getByLabel("From").fill(clock(end - 3_600_000));
  await page.getByLabel("Until").fill(clock(end));
  await until(() => preferences(user), ({ quiet_hours: hours }) => (hours as { end: string }).end === clock(end));
  expect((await preferences(user)).quiet_hours).toEqual({ enabled: true, start: clock(end - 3_600_000), end: clock(end), days: [] });

  await ground.send(user, "Later");
  await ground.send(user, "Now", { priority: "urgent" });
  await until(() => told(page), (all) => all.length > 1);
  // Whoever comes back meanwhile finds it in the list, and hears of it like all others.
  const back = await ground.page(device, user, { transport: "webSocket" });
  await pause(500);
  expect(await told(page)).toEqual(["Before", "Now"]);
  expect(await told(back)).toEqual(["Now"]);
  await until(() => badge(back), (text) => text === "3");
  await until(() => told(page), (all) => all.length === 3, end - Date.now() + 30_000);
  expect(await told(page)).toEqual(["Before", "Now", "Later"]);
  expect(Date.now()).toBeGreaterThanOrEqual(end);
  expect(await page.evaluate(() => window.missed)).toEqual([]);
  await until(() => told(back), (all) => all.length === 2);
  expect(await told(back)).toEqual(["Now", "Later"]);
  expect(await back.evaluate(() => window.missed)).toEqual(["Now"]);
}, 240_000);

test("the digest is ordered, changed and called off; where the server makes none, nothing is said of it", async () => {
  const user = ground.person();
  const page = await ground.page(await ground.device({ timezoneId: "Europe/Athens" }), user, { showPreferences: true });
  const digest = () => ground.ask("GET", "/api/v1/digest/subscription", token(user));
  await page.getByLabel("Newsletter: Here").waitFor();
  const wanted = page.getByLabel("Sum up for me what came");
  const isMade = await digest().then(
    () => true,
    (fault: Error) => !fault.message.includes("no_such_route"),
  );
  if (!isMade) {
    expect(await wanted.count()).toBe(0);
    return;
  }
  await wanted.check();
  await until(digest, (now) => now.is_enabled === true);
  await page.getByLabel("How often").selectOption("weekly");
  await page.getByRole("combobox", { name: "On", exact: true }).selectOption("fri");
  await page.getByLabel("At", { exact: true }).fill("18:30");
  await page.getByLabel("Priority from").selectOption("high");
  await page.getByLabel("Not at weekends").check();
  await page.getByRole("group", { name: "By" }).getByLabel("Push").uncheck();
  const { next_at: _, ...kept } = await until(digest, ({ channels }) => (channels as string[]).length === 2);
  expect(kept).toEqual({
    is_enabled: true, delivery_time: "18:30", timezone: "Europe/Athens", timezone_is_own: true, frequency: "weekly", day_of_week: "fri",
    include_types: [], exclude_weekends: true, min_priority: "high", channels: ["in_app", "email"],
  });
  await page.getByRole("combobox", { name: "Time zone" }).selectOption("As for quiet hours");
  await until(digest, (now) => now.timezone_is_own === false && now.timezone === "UTC");
  await page.getByRole("combobox", { name: "On", exact: true }).selectOption("mon");
  await until(digest, (now) => now.day_of_week === "mon" && now.timezone_is_own === false);
  expect(await faults(page)).toEqual([]);
  await page.screenshot({ path: `${SEEN}/digest-desktop.png`, fullPage: true });
  await wanted.uncheck();
  await until(digest, (now) => now.is_enabled === false);
});

/** Delivers a push as a push service would: again, if the tool lost it on the way. Until it shows as it should. */
async function push(device: BrowserContext, page: Page, said: object, wanted: (all: Awaited<ReturnType<typeof shown>>) => boolean): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    await deliver(device, page, said);
    try {
      await until(() => shown(page), wanted, 3000);
      return;
    } catch (fault) {
      if (attempt === 5) throw fault;
    }
  }
}

async function deliver(device: BrowserContext, page: Page, push: object): Promise<void> {
  const session = await device.newCDPSession(page);
  const found = new Promise<string>((done) => {
    session.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
      const one = registrations.find(({ scopeURL }) => scopeURL.startsWith(ground.site));
      if (one !== undefined) done(one.registrationId);
    });
  });
  await session.send("ServiceWorker.enable");
  await session.send("ServiceWorker.deliverPushMessage", { origin: ground.site, registrationId: await found, data: JSON.stringify(push) });
}

const shown = (page: Page) =>
  page.evaluate(async () => {
    const registration = await navigator.serviceWorker.ready;
    return (await registration.getNotifications()).map(({ title, body, tag, requireInteraction }) => ({ title, body, tag, requireInteraction }));
  });

test("a push is shown, stays if it is urgent, and goes when it was read: on this page, or elsewhere", async () => {
  const user = ground.person();
  const device = await ground.device({ permissions: ["notifications"] });
  const page = await ground.page(device, user);
  await page.evaluate(async () => {
    await navigator.serviceWorker.register("/carillon-sw.js");
    window.pushes.keepPushesInStep(window.client, await navigator.serviceWorker.ready);
  });
  const { uuid, id } = await ground.send(user, "Shipped");
  const said = { title: "Shipped", body: "<b>On its way</b>", tag: uuid, data: { notification_id: id, uuid, action_url: "/orders/1" }, actions: [{ action: "track", title: "Track" }], priority: "urgent" };
  await push(device, page, said, (all) => all.length === 1);
  expect(await shown(page)).toEqual([{ title: "Shipped", body: "<b>On its way</b>", tag: uuid, requireInteraction: true }]);
  await bell(page).click();
  await page.getByRole("button", { name: "Mark as read" }).click();
  await until(() => shown(page), (all) => all.length === 0);

  await push(device, page, { ...said, tag: "another", priority: "normal" }, (all) => all.length === 1 && all[0]?.requireInteraction === false);
  await push(device, page, { type: "retract", tag: "another", notification_id: id }, (all) => all.length === 0);
  await device.close();
});

test("this browser is registered, again when the browser changes its subscription, and taken back", async () => {
  const user = ground.person();
  const device = await ground.device({ permissions: ["notifications"] });
  const page = await ground.page(device, user);
  // There is no push service here that would give out subscriptions: the rest is as it is.
  await page.evaluate(async () => {
    let current: object | null = null;
    const make = async (endpoint: string, applicationServerKey: ArrayBuffer) => {
      const { publicKey } = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
      const letters = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
      const keys = {
        p256dh: letters(new Uint8Array(await crypto.subtle.exportKey("raw", publicKey))),
        auth: letters(crypto.getRandomValues(new Uint8Array(16))),
      };
      current = {
        endpoint,
        options: { applicationServerKey },
        toJSON: () => ({ endpoint, keys }),
        unsubscribe: async () => {
          current = null;
          return true;
        },
      };
      return current;
    };
    PushManager.prototype.subscribe = async (options) => {
      const key = options?.applicationServerKey as Uint8Array<ArrayBuffer>;
      return make(`https://updates.push.services.mozilla.com/wpush/v2/${key.length}-${key[0]}`, key.buffer) as Promise<PushSubscription>;
    };
    PushManager.prototype.getSubscription = async () => current as PushSubscription | null;
    await navigator.serviceWorker.register("/carillon-sw.js");
    const registration = await navigator.serviceWorker.ready;
    window.pushes.keepPushesInStep(window.client, registration);
    await window.pushes.subscribeToPushes(window.client, registration);
    Object.assign(window, { change: () => make("https://updates.push.services.mozilla.com/wpush/v2/changed", new ArrayBuffer(1)) });
  });
  const endpoints = async () => {
    const { subscriptions } = await ground.ask("GET", "/api/v1/push/subscriptions", token(user));
    return (subscriptions as { endpoint: string }[]).map(({ endpoint }) => endpoint.split("/").at(-1));
  };
  // An uncompressed point of P-256: 65 bytes, of which the first is 4.
  expect(await endpoints()).toEqual(["65-4"]);
  await page.evaluate(async () => {
    await (window as unknown as { change(): Promise<void> }).change();
    navigator.serviceWorker.dispatchEvent(new MessageEvent("message", { data: { carillon: "subscription changed" } }));
  });
  await until(endpoints, (all) => all.includes("changed"));
  await page.evaluate(async () => window.pushes.unsubscribeFromPushes(window.client, await navigator.serviceWorker.ready));
  expect(await endpoints()).not.toContain("changed");
  await device.close();
});

test("whoever does not want pushes is told so, and the server hears of no browser", async () => {
  const user = ground.person();
  const device = await ground.device({ permissions: [] });
  const page = await ground.page(device, user);
  const code = await page.evaluate(async () => {
    await navigator.serviceWorker.register("/carillon-sw.js");
    Notification.requestPermission = async () => "denied";
    return window.pushes.subscribeToPushes(window.client, await navigator.serviceWorker.ready).then(
      () => "",
      ({ code }: { code: string }) => code,
    );
  });
  expect(code).toBe("push_denied");
  expect((await ground.ask("GET", "/api/v1/push/subscriptions", token(user))).subscriptions).toEqual([]);
  await device.close();
});

test("a browser that gets no subscription says why, and the server hears of none", async () => {
  const user = ground.person();
  const device = await ground.device({ permissions: ["notifications"] });
  const page = await ground.page(device, user);
  const problem = await page.evaluate(async () => {
    await navigator.serviceWorker.register("/carillon-sw.js");
    const registration = await navigator.serviceWorker.ready;
    const again = await window.pushes.unsubscribeFromPushes(window.client, registration);
    return window.pushes.subscribeToPushes(window.client, registration).then(
      () => null,
      ({ name, code, message }: { name: string; code: string; message: string }) => ({ name, code, message, again }),
    );
  });
  expect(problem).toMatchObject({ name: "Problem", code: "push_failed", again: false });
  expect(problem?.message).toContain("The browser got no subscription from its push service");
  expect((await ground.ask("GET", "/api/v1/push/subscriptions", token(user))).subscriptions).toEqual([]);
  await device.close();
});
