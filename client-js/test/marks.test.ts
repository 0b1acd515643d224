import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Client } from "../src/index.js";
import { Kept, Server } from "./server.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const shown = (client: Client) => client.list().getSnapshot().notifications.map(({ title, isRead }) => `${title}${isRead ? "" : "*"}`);
const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

async function two(more = {}) {
  const server = new Server();
  server.send();
  server.send();
  const client = server.client(more);
  await wait(1000);
  return { server, client, id: client.list().getSnapshot().notifications[0]?.id ?? "" };
}

test("what is read shows at once, and is taken back when the server refuses", async () => {
  const { server, client, id } = await two();
  const refused: string[] = [];
  client.on("refused", ({ action, problem }) => refused.push(`${action} ${problem.status}`));
  server.refuses = (method) => (method === "PUT" ? 403 : null);
  const settled = client.read(id);
  expect(shown(client)).toEqual(["N2", "N1*"]);
  expect(client.unreadCount.getSnapshot()).toBe(1);
  await wait(50);
  expect(await settled).toBe(false);
  expect(shown(client)).toEqual(["N2*", "N1*"]);
  expect(client.unreadCount.getSnapshot()).toBe(2);
  expect(refused).toEqual(["read 403"]);
  client.close();
});

test("offline, marks wait in their order, over a reload too, and are told once the server is back", async () => {
  const storage = new Kept();
  const { server, client, id } = await two({ storage });
  server.isReachable = false;
  server.cut();
  void client.read(id);
  void client.unread(id);
  void client.readAll();
  await wait(3000);
  expect(shown(client)).toEqual(["N2", "N1"]);
  client.close();
  expect(server.unread).toBe(2);

  const later = server.client({ storage });
  await wait(100);
  server.isReachable = true;
  await wait(40_000);
  expect(server.unread).toBe(0);
  expect(shown(later)).toEqual(["N2", "N1"]);
  expect([...storage.map.keys()].filter((key) => key.includes("mark:"))).toEqual([]);
  expect(server.requests.filter((one) => !one.startsWith("GET")).map((one) => one.split(" ")[0])).toEqual(
    expect.arrayContaining(["PUT", "PUT", "POST"]),
  );
  later.close();
});

test("a removed one is gone, also when it was gone already", async () => {
  const { server, client, id } = await two();
  server.mark(2, "removed");
  void client.remove(id);
  await wait(1000);
  expect(shown(client)).toEqual(["N1*"]);
  expect(client.unreadCount.getSnapshot()).toBe(1);
  client.close();
});

test("one that was removed elsewhere meanwhile goes away, and whoever marked it is told why", async () => {
  const { server, client, id } = await two();
  const refused: string[] = [];
  client.on("refused", ({ action, id: which, problem }) => refused.push(`${action} ${which === id} ${problem.status} ${problem.code}`));
  server.cut();
  server.mark(2, "removed");
  expect(await Promise.race([client.read(id), wait(1000).then(() => "late")])).toBe(false);
  expect(shown(client)).toEqual(["N1*"]);
  expect(client.unreadCount.getSnapshot()).toBe(1);
  expect(refused).toEqual(["read true 404 not_found"]);
  client.close();
});

test("a server that is busy is asked again when it says", async () => {
  const { server, client, id } = await two();
  server.refuses = (method) => (method === "PUT" ? 503 : null);
  void client.read(id);
  await wait(2000);
  server.refuses = () => null;
  await wait(10_000);
  expect(server.unread).toBe(1);
  client.close();
});

test("marks of other devices show, and counts follow what is not listed here", async () => {
  const server = new Server();
  for (let sent = 0; sent < 12; sent += 1) server.send();
  const client = server.client();
  await wait(1000);
  expect(client.unreadCount.getSnapshot()).toBe(12);
  server.mark(12, "read");
  expect(shown(client)[0]).toBe("N12");
  server.mark(1, "read");
  await wait(1000);
  expect(client.unreadCount.getSnapshot()).toBe(10);
  client.close();
});

test("a page that is open for long keeps what is new, and can load what is old again", async () => {
  const server = new Server();
  server.send();
  const client = server.client({ pageSize: 100 });
  await wait(1000);
  for (let sent = 2; sent <= 2500; sent += 1) server.send();
  await wait(1000);
  const list = client.list();
  expect(list.getSnapshot().notifications.length).toBeLessThan(2000);
  expect(list.getSnapshot().hasMore).toBe(true);
  expect(client.unreadCount.getSnapshot()).toBe(2500);
  while (list.getSnapshot().hasMore) {
    void list.loadMore();
    await wait(50);
  }
  expect(list.getSnapshot().notifications.map(({ title }) => title)).toEqual(Array.from({ length: 2500 }, (_, at) => `N${2500 - at}`));
  client.close();
});

test("each change is told once, however many say it", async () => {
  const { server, client, id } = await two();
  const told: string[] = [];
  client.on("changed", ({ id: which, standing }) => told.push(`${which === null ? "all" : which === id ? "N2" : "N1"} ${standing}`));
  // The server says it over the socket, too, before it answers and once more behind that.
  expect(await Promise.race([client.read(id), wait(1000).then(() => "late")])).toBe(true);
  server.mark(2, "read");
  await wait(1000);
  expect(told).toEqual(["N2 read"]);
  void client.readAll();
  await wait(1000);
  server.mark(null, "read");
  await wait(1000);
  expect(told).toEqual(["N2 read", "all read"]);
  void client.unread(id);
  await wait(1000);
  void client.remove(id);
  await wait(1000);
  server.mark(1, "unread");
  expect(told).toEqual(["N2 read", "all read", "N2 unread", "N2 removed", "N1 unread"]);
  client.close();
});

test("a count that was on its way when something was marked does not come back", async () => {
  const { server, client, id } = await two();
  const seen: (number | null)[] = [];
  client.unreadCount.subscribe(() => seen.push(client.unreadCount.getSnapshot()));
  let asked = 0;
  // The list is asked for first, and its answer comes last.
  server.delay = () => (asked++ === 0 ? 300 : 5);
  void client.refresh();
  void client.read(id);
  await wait(2000);
  expect(client.unreadCount.getSnapshot()).toBe(1);
  expect(seen).toEqual([1]);
  client.close();
});

test("a page that is asked for while the list is read again comes, too", async () => {
  const server = new Server();
  for (let sent = 0; sent < 12; sent += 1) server.send();
  const client = server.client();
  await wait(1000);
  const list = client.list();
  void list.refresh();
  void list.refresh();
  const more = list.loadMore();
  await wait(100);
  await more;
  expect(list.getSnapshot().notifications).toHaveLength(10);
  client.close();
});
