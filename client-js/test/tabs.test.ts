// Several tabs of one person: whatever is done in whichever, and whichever is closed when, all show what the server has in the end.

import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Client } from "../src/index.js";
import { Kept, Server } from "./server.js";

/** A browser's channels and locks, as far as tabs use them. */
class Browser {
  readonly channels = new Set<{ name: string; onmessage: ((event: { data: unknown }) => void) | null }>();
  readonly #queues = new Map<string, (() => void)[]>();

  constructor() {
    const { channels } = this;
    vi.stubGlobal(
      "BroadcastChannel",
      class {
        onmessage: ((event: { data: unknown }) => void) | null = null;
        constructor(readonly name: string) {
          channels.add(this);
        }
        postMessage(data: unknown): void {
          for (const one of channels) {
            if (one !== this && one.name === this.name) setTimeout(() => channels.has(one) && one.onmessage?.({ data: structuredClone(data) }), 1);
          }
        }
        close(): void {
          channels.delete(this);
        }
      },
    );
    vi.stubGlobal("navigator", { locks: { request: (...given: Parameters<Browser["request"]>) => this.request(...given) } });
  }

  async request(name: string, { signal }: { signal: AbortSignal }, work: () => Promise<void>): Promise<void> {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    await new Promise<void>((granted) => {
      queue.push(granted);
      if (queue.length === 1) setTimeout(granted, 1);
    });
    if (!signal.aborted) await work();
    queue.shift();
    const next = queue[0];
    if (next !== undefined) setTimeout(next, 1);
  }
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const shown = (client: Client) => client.list().getSnapshot().notifications.map(({ title, isRead }) => `${title}${isRead ? "" : "*"}`);
const kept = (storage: Kept) => [...storage.map.keys()].filter((key) => key.includes("mark:"));

test("what is done in one tab shows in the other at once, and each is told the end of its own", async () => {
  new Browser();
  const server = new Server();
  for (let sent = 0; sent < 3; sent += 1) server.send();
  const storage = new Kept();
  const [one, other] = [server.client({ storage, shareSocket: true }), server.client({ storage, shareSocket: true })];
  await wait(1000);
  expect([one, other].map((tab) => tab.connection.getSnapshot().socket)).toEqual(["shared", "another tab's"]);
  const refused: string[] = [];
  one.on("refused", () => refused.push("one"));
  other.on("refused", ({ problem }) => refused.push(`other ${problem.status}`));
  const [newest = "", second = ""] = other.list().getSnapshot().notifications.map(({ id }) => id);
  server.isReachable = false;
  server.cut();
  const settled = other.read(newest);
  await wait(5);
  expect(shown(one)).toEqual(["N3", "N2*", "N1*"]);
  const later = server.client({ storage, shareSocket: true });
  server.isReachable = true;
  await wait(60_000);
  expect(await settled).toBe(true);
  for (const tab of [one, other, later]) expect(shown(tab)).toEqual(["N3", "N2*", "N1*"]);
  server.refuses = (method) => (method === "PUT" ? 403 : null);
  expect(await Promise.race([other.read(second), wait(5000).then(() => "late")])).toBe(false);
  await wait(10);
  for (const tab of [one, other, later]) expect(shown(tab)).toEqual(["N3", "N2*", "N1*"]);
  expect(refused).toEqual(["other 403"]);
  expect(server.requests.filter((asked) => asked.startsWith("PUT")).length).toBeLessThan(20);
  expect(kept(storage)).toEqual([]);
  for (const tab of [one, other, later]) tab.close();
});

const which = fc.nat({ max: 20 });
const tab = fc.nat({ max: 2 });
const step = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ kind: "send" as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("elsewhere" as const), which, standing: fc.constantFrom("read" as const, "unread" as const, "removed" as const) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom("read" as const, "unread" as const, "remove" as const), which, tab }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("readAll" as const), tab }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("close" as const, "open" as const), tab }) },
  { weight: 2, arbitrary: fc.constantFrom({ kind: "cut" as const }, { kind: "unreachable" as const }, { kind: "reachable" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("refuse" as const), status: fc.constantFrom(0, 403, 503) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(1, 4, 30, 450, 3500) }) },
);

test("tabs end up as the server has it, whatever was done in which, and whichever was closed", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 50 }), async (steps) => {
      new Browser();
      const server = new Server();
      for (let sent = 0; sent < 5; sent += 1) server.send();
      const storage = new Kept();
      let made = 0;
      const make = () => {
        made += 1;
        const chance = made / 1000;
        return server.client({ storage, shareSocket: true, pageSize: 100, random: () => chance });
      };
      const tabs: (Client | null)[] = [make(), make(), null];
      for (const now of steps) {
        switch (now.kind) {
          case "send":
            server.send();
            break;
          case "elsewhere":
            server.mark(1 + (now.which % server.rows.length), now.standing);
            break;
          case "readAll":
            void tabs[now.tab]?.readAll();
            break;
          case "read":
          case "unread":
          case "remove": {
            const client = tabs[now.tab];
            const all = client?.list().getSnapshot().notifications ?? [];
            const id = all[now.which % Math.max(1, all.length)]?.id;
            if (client != null && id !== undefined) void client[now.kind](id);
            break;
          }
          case "close":
            tabs[now.tab]?.close();
            tabs[now.tab] = null;
            break;
          case "open":
            tabs[now.tab] ??= make();
            break;
          case "cut":
            server.cut();
            break;
          case "unreachable":
            server.isReachable = false;
            server.cut();
            break;
          case "reachable":
            server.isReachable = true;
            break;
          case "refuse":
            server.refuses = (method) => (method === "GET" || now.status === 0 ? null : now.status);
            break;
          case "wait":
            await wait(now.ms);
        }
      }
      server.isReachable = true;
      server.refuses = () => null;
      tabs[0] ??= make();
      await wait(120_000);
      for (const client of tabs) {
        if (client === null) continue;
        const all = client.list().getSnapshot().notifications.map(({ id, isRead }) => ({ id, isRead }));
        expect(all).toEqual(server.inbox);
        expect(client.unreadCount.getSnapshot()).toBe(server.unread);
        client.close();
      }
      expect(kept(storage)).toEqual([]);
      await wait(10);
    }),
    { numRuns: Number(process.env.RUNS ?? 100) },
  );
}, 600_000);
