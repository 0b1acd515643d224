import type { Client, Stop } from "../index.js";
import { Problem } from "../core/problem.js";
import { fields, text } from "../core/wire.js";
import { NOTES, saidFrom } from "./messages.js";

/** How long the browser's push service may take. */
const PATIENCE_MS = 30_000;

/** Whether this browser can take pushes at all. */
export function canPush(): boolean {
  return typeof navigator !== "undefined" && "serviceWorker" in navigator && "PushManager" in globalThis && "Notification" in globalThis;
}

/**
 * Asks the person, if they were not asked yet, and registers this browser with the server. To be called from a click: browsers
 * ask only then. Throws `Problem`: `push_unsupported` if the browser takes none, `push_denied` if the person does not want it,
 * `push_unavailable` if the server has no keys, `push_failed` if the browser's push service gives no subscription.
 */
export async function subscribeToPushes(client: Client, registration: ServiceWorkerRegistration): Promise<PushSubscription> {
  if (!canPush()) throw new Problem("push_unsupported", "This browser takes no pushes.");
  if ((await Notification.requestPermission()) !== "granted") throw new Problem("push_denied", "The person does not want pushes.");
  const wanted = bytesOf(text(fields(await client.api.request("GET", "/api/v1/push/vapid-public-key")).public_key));
  let subscription = await registration.pushManager.getSubscription();
  if (subscription !== null && !sameKey(subscription.options.applicationServerKey, wanted)) {
    await subscription.unsubscribe();
    subscription = null;
  }
  subscription ??= await inTime(registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: wanted })).catch(noPushes);
  await register(client, subscription);
  return subscription;
}

/** Browsers that cannot reach their push service may say nothing at all. What comes too late is given back. */
async function inTime(asked: Promise<PushSubscription>): Promise<PushSubscription> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isLate = false;
  asked.then((subscription) => isLate && subscription.unsubscribe()).catch(() => {});
  const patience = new Promise<never>((_, refuse) => {
    timer = setTimeout(() => {
      isLate = true;
      refuse(new Error(`it did not answer within ${PATIENCE_MS / 1000} s`));
    }, PATIENCE_MS);
  });
  return Promise.race([asked, patience]).finally(() => clearTimeout(timer));
}

function noPushes(fault: unknown): never {
  const why = fault instanceof Error ? fault.message : String(fault);
  throw new Problem(
    "push_failed",
    `The browser got no subscription from its push service: ${why}. Some browsers have none, or cannot reach it; try again later, or another browser.`,
  );
}

/** Takes this browser back. True if it was registered. */
export async function unsubscribeFromPushes(client: Client, registration: ServiceWorkerRegistration): Promise<boolean> {
  const subscription = await registration.pushManager.getSubscription();
  if (subscription === null) return false;
  // The server first: else it would go on sending to nobody.
  await client.api.request("POST", "/push/unsubscribe", { endpoint: subscription.endpoint });
  return subscription.unsubscribe();
}

/**
 * Keeps pushes and inbox in step, as long as the page is open: what is read anywhere is not shown any more; what was clicked
 * is read; a subscription that the browser has changed is registered anew. Nobody is asked for anything.
 */
export function keepPushesInStep(client: Client, registration: ServiceWorkerRegistration): Stop {
  const again = async () => {
    const subscription = await registration.pushManager.getSubscription();
    if (subscription !== null && Notification.permission === "granted") await register(client, subscription);
  };
  const quietly = (work: Promise<unknown>) => void work.catch(() => {});
  const message = ({ data }: MessageEvent<unknown>) => {
    const said = saidFrom(data);
    if (said?.carillon === "clicked") quietly(readNotes(client));
    if (said?.carillon === "subscription changed") quietly(again());
  };
  const { serviceWorker } = navigator;
  serviceWorker.addEventListener("message", message);
  const stop = client.on("changed", ({ id, standing }) => {
    if (standing !== "unread") quietly(closeShown(registration, id));
  });
  quietly(readNotes(client));
  quietly(again());
  return () => {
    serviceWorker.removeEventListener("message", message);
    stop();
  };
}

async function register(client: Client, subscription: PushSubscription): Promise<void> {
  const { endpoint, keys } = subscription.toJSON();
  await client.api.request("POST", "/api/v1/push/subscribe", {
    endpoint,
    p256dh_key: keys?.p256dh,
    auth_key: keys?.auth,
    user_agent: navigator.userAgent,
  });
}

/** A null `id` means all. */
async function closeShown(registration: ServiceWorkerRegistration, id: string | null): Promise<void> {
  for (const shown of await registration.getNotifications(id === null ? {} : { tag: id })) {
    // Others may show notifications by the same service worker: ours say which they are.
    if (text(fields(shown.data).id) !== "") shown.close();
  }
}

/** What was clicked, perhaps while no page was open. */
async function readNotes(client: Client): Promise<void> {
  const notes = await caches.open(NOTES);
  for (const note of await notes.keys()) {
    const id = decodeURIComponent(note.url.split("/").at(-1) ?? "");
    await notes.delete(note);
    void client.read(id);
  }
}

function bytesOf(base64url: string): Uint8Array<ArrayBuffer> {
  const letters = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
}

function sameKey(one: ArrayBuffer | null, other: Uint8Array): boolean {
  const bytes = one === null ? null : new Uint8Array(one);
  return bytes !== null && bytes.length === other.length && bytes.every((byte, index) => byte === other[index]);
}
