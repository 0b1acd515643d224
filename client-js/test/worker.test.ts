import { expect, test, vi } from "vitest";
import type { Client } from "../src/index.js";
import { handlePushes, type PushOptions, subscribeToPushes, type WorkerScope } from "../src/service-worker/index.js";

/** A service worker without a browser: what it was asked, and what it did. */
function worker(options: PushOptions = {}, open: string[] = []) {
  const listeners = new Map<string, (event: never) => void>();
  const done: string[] = [];
  const notes: string[] = [];
  const scope: WorkerScope = {
    location: { origin: "https://shop.example" },
    registration: {
      scope: "https://shop.example/",
      showNotification: async (title, given) => void done.push(`show ${title} ${JSON.stringify(given)}`),
      getNotifications: async (filter) => [{ close: () => void done.push(`close ${filter?.tag}`) }],
      pushManager: { subscribe: async ({ applicationServerKey }) => void done.push(`subscribe ${String(applicationServerKey)}`) },
    },
    clients: {
      matchAll: async () =>
        open.map((url) => ({
          url,
          focus: async () => void done.push(`focus ${url}`),
          postMessage: (said) => void done.push(`say ${JSON.stringify(said)}`),
        })),
      openWindow: async (url) => void done.push(`open ${url}`),
    },
    caches: { open: async () => ({ put: async (url: string) => void notes.push(url) }) } as unknown as CacheStorage,
    addEventListener: (event, listener) => void listeners.set(event, listener),
  };
  handlePushes(scope, options);
  const tell = async (event: string, given: object) => {
    const waitUntil = vi.fn<(work: Promise<unknown>) => void>();
    listeners.get(event)?.({ ...given, waitUntil } as never);
    await Promise.all(waitUntil.mock.calls.map(([work]) => work));
    return done;
  };
  return {
    notes,
    push: (json: unknown) => tell("push", { data: { json: () => (json === undefined ? JSON.parse("{") : json) } }),
    click: (data: unknown, action = "") => tell("notificationclick", { action, notification: { data, close: () => {} } }),
    change: (old: object | null) => tell("pushsubscriptionchange", { oldSubscription: old }),
  };
}

test("a push is shown as it is meant, and what is none is not", async () => {
  const [seen] = await worker({ icon: "/icon.png" }).push({
    title: "T", body: "B", tag: "u7", icon: "javascript:x", priority: "urgent", data: { uuid: "u7", action_url: "/a" }, actions: [{ action: "a", title: "A" }, { action: 5 }],
  });
  expect(JSON.parse(seen?.replace("show T ", "") ?? "")).toEqual({
    body: "B", icon: "/icon.png", tag: "u7", renotify: true, actions: [{ action: "a", title: "A" }], requireInteraction: true, data: { id: "u7", url: "/a" },
  });
  for (const odd of [undefined, null, 5, "x", [], {}, { title: 5 }]) expect(await worker().push(odd)).toEqual([]);
});

test("what was read elsewhere is closed, in either spelling", async () => {
  for (const push of [{ type: "retract", tag: "u7", id: 7 }, { retract: "u7" }, { retract: { tag: "u7" } }]) {
    expect(await worker().push(push)).toEqual(["close u7"]);
  }
  expect(await worker().push({ type: "retract" })).toEqual([]);
});

test("a click leads where it may, and nowhere else", async () => {
  const home = "open https://shop.example/";
  for (const [url, seen] of [
    ["/orders/1", "open https://shop.example/orders/1"],
    ["https://shop.example/x", "open https://shop.example/x"],
    ["https://evil.example/x", home],
    ["//evil.example/x", home],
    ["/\\evil.example", home],
    ["javascript:alert(1)", home],
    ["data:text/html,x", home],
    ["", home],
  ] as const) {
    expect(await worker().click({ id: "u7", url })).toEqual([seen]);
  }
  const allows = ({ hostname }: URL) => hostname.endsWith(".shop.example");
  expect(await worker({ allows }).click({ id: "", url: "https://help.shop.example/" })).toEqual(["open https://help.shop.example/"]);
  expect(await worker({ allows: () => true }).click({ id: "", url: "javascript:alert(1)" })).toEqual([home]);
  expect(await worker({ home: "/inbox" }).click({ id: "", url: "" })).toEqual(["open https://shop.example/inbox"]);
  expect(await worker({ actions: { track: "/track" } }).click({ id: "", url: "/x" }, "track")).toEqual(["open https://shop.example/track"]);
});

test("a click is a reading: pages that are open are told, and it is noted for one that is opened later", async () => {
  const one = worker({}, ["https://shop.example/orders/1"]);
  expect((await one.click({ id: "u7", url: "/orders/1" })).sort()).toEqual(["focus https://shop.example/orders/1", 'say {"carillon":"clicked","id":"u7"}']);
  expect(one.notes).toEqual(["https://shop.example/carillon-read/u7"]);
  const other = worker();
  expect(await other.click({ id: "u7", url: "/x" }, "dismiss")).toEqual([]);
  expect(other.notes).toEqual([]);
});

test("a subscription that the browser has changed is made anew with the same key, and pages register it", async () => {
  const seen = await worker({}, ["https://shop.example/"]).change({ options: { applicationServerKey: "key" } });
  expect(seen).toEqual(["subscribe key", 'say {"carillon":"subscription changed"}']);
});

test("one click ends pushes like this one, where the server says how", async () => {
  const push = { title: "T", data: { uuid: "u7", unsubscribe_url: "https://notify.example/unsubscribe/x", unsubscribe_title: "Stop" } };
  const [seen] = await worker().push(push);
  expect(JSON.parse(seen?.replace("show T ", "") ?? "")).toMatchObject({
    actions: [{ action: "carillon-stop", title: "Stop" }], data: { stop: "https://notify.example/unsubscribe/x" },
  });
  const asked = vi.spyOn(globalThis, "fetch").mockResolvedValue(new Response());
  expect(await worker().click({ id: "u7", url: "/x", stop: "https://notify.example/unsubscribe/x" }, "carillon-stop")).toEqual([]);
  expect(asked).toHaveBeenCalledWith("https://notify.example/unsubscribe/x", { method: "POST", mode: "no-cors", credentials: "omit" });
  asked.mockRejectedValue(new Error("away"));
  expect(await worker().click({ id: "u7", stop: "https://notify.example/unsubscribe/x" }, "carillon-stop")).toEqual(["open https://notify.example/unsubscribe/x"]);
  expect(await worker().click({ id: "u7", stop: "javascript:x" }, "carillon-stop")).toEqual([]);
  asked.mockRestore();
});

test("a push service that says nothing is not waited for forever, and what it says too late is given back", async () => {
  vi.useFakeTimers();
  const permission = { requestPermission: async () => "granted", permission: "granted" };
  vi.stubGlobal("Notification", permission);
  vi.stubGlobal("PushManager", class {});
  vi.stubGlobal("navigator", { serviceWorker: {} });
  const unsubscribe = vi.fn(async () => true);
  const subscribe = () => new Promise((done) => setTimeout(() => done({ unsubscribe }), 60_000));
  const registration = { pushManager: { getSubscription: async () => null, subscribe } } as unknown as ServiceWorkerRegistration;
  const asked: string[] = [];
  const api = {
    request: async (method: string, path: string) => {
      asked.push(`${method} ${path}`);
      return { public_key: "BA" };
    },
  };
  const problem = subscribeToPushes({ api } as unknown as Client, registration).catch((fault: unknown) => fault);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(await problem).toMatchObject({ code: "push_failed", message: expect.stringContaining("did not answer within 30 s") as string });
  expect(unsubscribe).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(unsubscribe).toHaveBeenCalledOnce();
  expect(asked).toEqual(["GET /api/v1/push/vapid-public-key"]);
  vi.unstubAllGlobals();
  vi.useRealTimers();
});
