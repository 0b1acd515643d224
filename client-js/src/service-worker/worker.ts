import { safeUrl } from "../core/url.js";
import { fields, text } from "../core/wire.js";
import { NOTES, type Push, type Said, pushFrom } from "./messages.js";

/** What is used of `self` in a service worker. */
export interface WorkerScope {
  readonly location: { readonly origin: string };
  readonly registration: {
    readonly scope: string;
    showNotification(title: string, options: object): Promise<void>;
    getNotifications(filter?: { readonly tag?: string }): Promise<readonly { close(): void }[]>;
    readonly pushManager: { subscribe(options: { readonly userVisibleOnly: boolean; readonly applicationServerKey: BufferSource | null }): Promise<unknown> };
  };
  readonly clients: {
    matchAll(options: { readonly type: "window"; readonly includeUncontrolled: boolean }): Promise<readonly Page[]>;
    openWindow(url: string): Promise<unknown>;
  };
  readonly caches: CacheStorage;
  addEventListener(event: string, listener: (event: never) => void): void;
}

interface Page {
  readonly url: string;
  focus?(): Promise<unknown>;
  navigate?(url: string): Promise<unknown>;
  postMessage(message: Said): void;
}

/** The button that ends pushes like this one. */
const STOP = "carillon-stop";

interface Waits {
  waitUntil(work: Promise<unknown>): void;
}

export interface PushOptions {
  /** Where a click leads that has no address of its own: the page at the service worker's scope, if nothing is said. */
  readonly home?: string;
  /** Whether a click may lead to `url`. If nothing is said: only to this origin. Never to anything but http and https. */
  readonly allows?: (url: URL) => boolean;
  /** The picture of pushes that bring none. */
  readonly icon?: string;
  readonly badge?: string;
  /** What the button says that ends pushes like one, where the server does not say it: "No more like this" if nothing is said. */
  readonly stopTitle?: string;
  /** Where the buttons of a push lead, by their `action`; a button that is not here leads where the push does. */
  readonly actions?: Readonly<Record<string, string>>;
}

/** Shows pushes, and does what their clicks ask for. To be called once, while the service worker starts. */
export function handlePushes(scope: WorkerScope, options: PushOptions = {}): void {
  const on = <Given extends Waits>(name: string, then: (event: Given) => Promise<unknown>) =>
    scope.addEventListener(name, (event: Given) => event.waitUntil(then(event)));

  on<Waits & { readonly data: { json(): unknown } | null }>("push", async ({ data }) => {
    const push = pushFrom(read(() => data?.json()));
    if (push?.kind === "retract") return close(scope, push.tag);
    if (push?.kind === "show") return show(scope, options, push);
  });
  on<Waits & { readonly action: string; readonly notification: { readonly data: unknown; close(): void } }>(
    "notificationclick",
    async ({ action, notification }) => {
      notification.close();
      const { url, id, stop } = fields(notification.data);
      if (action === "dismiss") return;
      if (action === STOP) return end(scope, text(stop));
      await Promise.all([noteRead(scope, text(id)), go(scope, options, options.actions?.[action] ?? text(url))]);
    },
  );
  on<Waits & { readonly oldSubscription?: { readonly options: { readonly applicationServerKey: BufferSource | null } } | null }>(
    "pushsubscriptionchange",
    async ({ oldSubscription }) => {
      const applicationServerKey = oldSubscription?.options.applicationServerKey ?? null;
      if (applicationServerKey !== null) await scope.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
      // Registering it takes a token, which only a page has: one that is open, or the next one that is.
      for (const page of await pages(scope)) page.postMessage({ carillon: "subscription changed" });
    },
  );
}

function read(work: () => unknown): unknown {
  try {
    return work();
  } catch {
    return null;
  }
}

const pages = (scope: WorkerScope) => scope.clients.matchAll({ type: "window", includeUncontrolled: true });

async function close(scope: WorkerScope, tag: string): Promise<void> {
  for (const shown of await scope.registration.getNotifications({ tag })) shown.close();
}

async function show(scope: WorkerScope, options: PushOptions, push: Push & { readonly kind: "show" }): Promise<void> {
  const icon = safeUrl(push.icon) ?? options.icon;
  const badge = safeUrl(push.badge) ?? options.badge;
  const stop = push.stop === null ? null : safeUrl(push.stop.url);
  await scope.registration.showNotification(push.title, {
    body: push.body,
    ...(icon !== undefined && { icon }),
    ...(badge !== undefined && { badge }),
    ...(push.tag !== "" && { tag: push.tag, renotify: push.isUrgent }),
    actions: stop === null ? push.actions : [...push.actions, { action: STOP, title: push.stop?.title ?? options.stopTitle ?? "No more like this" }],
    requireInteraction: push.isUrgent,
    data: { id: push.id, url: push.url, ...(stop !== null && { stop }) },
  });
}

/** Ends pushes like this one (RFC 8058); where that cannot be asked for from here, the page opens that asks. */
async function end(scope: WorkerScope, url: string): Promise<void> {
  if (safeUrl(url) === null) return;
  try {
    await fetch(url, { method: "POST", mode: "no-cors", credentials: "omit" });
  } catch {
    await scope.clients.openWindow(url);
  }
}

/** Where a click may lead; home for all else. */
export function destination(wanted: string, scope: Pick<WorkerScope, "location" | "registration">, options: PushOptions): string {
  const home = new URL(options.home ?? scope.registration.scope, scope.location.origin).href;
  if (safeUrl(wanted) === null) return home;
  const url = new URL(wanted, scope.location.origin);
  const allows = options.allows ?? (({ origin }: URL) => origin === scope.location.origin);
  return allows(url) ? url.href : home;
}

async function go(scope: WorkerScope, options: PushOptions, wanted: string): Promise<void> {
  const url = destination(wanted, scope, options);
  const open = await pages(scope);
  const there = open.find((page) => page.url === url);
  if (there?.focus !== undefined) return void (await there.focus());
  await scope.clients.openWindow(url);
}

/** Whoever clicked has read it: a page that is open tells the server, or the next one that is. */
async function noteRead(scope: WorkerScope, id: string): Promise<void> {
  if (id === "") return;
  const notes = await scope.caches.open(NOTES);
  await notes.put(`${scope.location.origin}/${NOTES}/${encodeURIComponent(id)}`, new Response());
  for (const page of await pages(scope)) page.postMessage({ carillon: "clicked", id });
}
