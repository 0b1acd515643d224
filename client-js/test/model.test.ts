// Whatever happens in whatever order, once all is quiet the client shows what the server has.

import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Server } from "./server.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const which = fc.nat({ max: 40 });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: "send" as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("elsewhere" as const), which, standing: fc.constantFrom("read" as const, "unread" as const, "removed" as const) }) },
  { weight: 1, arbitrary: fc.constant({ kind: "all elsewhere" as const }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("read" as const, "unread" as const, "remove" as const), which }) },
  { weight: 1, arbitrary: fc.constant({ kind: "readAll" as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: "more" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "unread list" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "refresh" as const }) },
  { weight: 2, arbitrary: fc.constantFrom({ kind: "cut" as const }, { kind: "unreachable" as const }, { kind: "reachable" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("refuse" as const), status: fc.constantFrom(0, 403, 503) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(1, 4, 7, 30, 450, 3000) }) },
);

test("the inbox ends up as the server has it, and shows each notification once, newest first", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 20 }), async (steps, delays) => {
      const server = new Server();
      let asked = 0;
      server.delay = () => delays[asked++ % delays.length] ?? 1;
      for (let sent = 0; sent < 8; sent += 1) server.send();
      const client = server.client();
      const heard: string[] = [];
      client.on("notification", ({ notification }) => heard.push(notification.id));
      const list = client.list();
      const check = () => {
        const ids = list.getSnapshot().notifications.map(({ id }) => id);
        expect(new Set(ids).size).toBe(ids.length);
        expect(ids).toEqual([...ids].sort().reverse());
        expect(client.unreadCount.getSnapshot() ?? 0).toBeGreaterThanOrEqual(0);
      };
      const shown = (at: number) => {
        const all = list.getSnapshot().notifications;
        return all[at % Math.max(1, all.length)]?.id;
      };
      let watched = false;
      let stop = () => {};
      for (const now of steps) {
        switch (now.kind) {
          case "send":
            server.send();
            break;
          case "elsewhere":
            server.mark(1 + (now.which % server.rows.length), now.standing);
            break;
          case "all elsewhere":
            server.mark(null, "read");
            break;
          case "readAll":
            void client.readAll();
            expect(list.getSnapshot().notifications.every(({ isRead }) => isRead)).toBe(true);
            break;
          case "read":
          case "unread":
          case "remove": {
            const id = shown(now.which);
            if (id === undefined) break;
            void client[now.kind](id);
            const one = list.getSnapshot().notifications.find((known) => known.id === id);
            expect(one?.isRead).toBe({ read: true, unread: false, remove: undefined }[now.kind]);
            break;
          }
          case "more":
            void list.loadMore();
            break;
          case "unread list":
            if (watched) stop();
            else stop = client.list({ unreadOnly: true }).subscribe(() => {});
            watched = !watched;
            break;
          case "refresh":
            void client.refresh();
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
            await vi.advanceTimersByTimeAsync(now.ms);
        }
        check();
      }
      server.isReachable = true;
      server.refuses = () => null;
      await vi.advanceTimersByTimeAsync(120_000);
      while (list.getSnapshot().hasMore) {
        void list.loadMore();
        await vi.advanceTimersByTimeAsync(1000);
      }
      const all = list.getSnapshot().notifications.map(({ id, isRead }) => ({ id, isRead }));
      expect(all).toEqual(server.inbox);
      expect(client.unreadCount.getSnapshot()).toBe(server.unread);
      const unread = client.list({ unreadOnly: true });
      unread.subscribe(() => {});
      await vi.advanceTimersByTimeAsync(1000);
      const wanted = server.inbox.filter(({ isRead }) => !isRead).map(({ id }) => id);
      const seen = unread.getSnapshot().notifications.map(({ id }) => id);
      expect(seen).toEqual(wanted.slice(0, seen.length));
      expect(seen.length === wanted.length || unread.getSnapshot().hasMore).toBe(true);
      expect(new Set(heard).size).toBe(heard.length);
      client.close();
    }),
    { numRuns: Number(process.env.RUNS ?? 200) },
  );
}, 600_000);
