import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { connect, webSocket } from "../src/index.js";
import { Kept, Server, token } from "./server.js";

beforeEach(() => void vi.useFakeTimers({ now: new Date("2026-01-01T12:00:00Z") }));
afterEach(() => void vi.useRealTimers());

test("attempts come later and later, half of the wait by chance, and never more than 30 s apart", async () => {
  const server = new Server();
  server.isReachable = false;
  const client = server.client({ random: () => 1 });
  const at: number[] = [];
  let last = 0;
  const began = Date.now();
  client.connection.subscribe(() => {
    if (server.opened.length > last) at.push(Date.now() - began);
    last = server.opened.length;
  });
  await vi.advanceTimersByTimeAsync(200_000);
  const waits = at.slice(1).map((time, index) => time - (at[index] ?? 0));
  expect(waits.slice(0, 8).map((wait) => Math.round(wait / 500) * 500)).toEqual([500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
  expect(client.connection.getSnapshot().failures).toBeGreaterThan(7);

  server.isReachable = true;
  await vi.advanceTimersByTimeAsync(31_000);
  expect(client.connection.getSnapshot().status).toBe("open");
  client.close();
});

test("half of each wait is chance", async () => {
  const waits = [];
  for (const random of [0, 0.5, 1]) {
    const server = new Server();
    const client = server.client({ random: () => random });
    await vi.advanceTimersByTimeAsync(20);
    server.cut();
    const began = Date.now();
    while (server.opened.length < 2) await vi.advanceTimersByTimeAsync(5);
    waits.push(Date.now() - began);
    client.close();
  }
  expect(waits).toEqual([250, 375, 500]);
});

test("it goes on behind the last one heard, and tells each once", async () => {
  const server = new Server();
  const storage = new Kept();
  const client = server.client({ storage });
  const heard: string[] = [];
  client.on("notification", ({ notification, missed }) => heard.push(`${notification.title} ${missed ? "missed" : "live"}`));
  await vi.advanceTimersByTimeAsync(50);
  server.send();
  server.send();
  server.cut();
  server.send();
  await vi.advanceTimersByTimeAsync(5000);
  server.send();
  expect(heard).toEqual(["N1 live", "N2 live", "N3 missed", "N4 live"]);
  expect(server.opened.map(({ since }) => since?.slice(-1) ?? null)).toEqual([null, "2"]);
  client.close();

  const later = server.client({ storage });
  await vi.advanceTimersByTimeAsync(50);
  expect(server.opened.at(-1)?.since?.slice(-1)).toBe("4");
  later.close();
});

test("a token is renewed on the living socket before it ends", async () => {
  const server = new Server();
  const given: boolean[] = [];
  const client = server.client({
    getToken: ({ renew }) => {
      given.push(renew);
      return token("2", 600);
    },
  });
  await vi.advanceTimersByTimeAsync(530_000);
  expect(server.renewed).toEqual([]);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(server.renewed).toHaveLength(1);
  expect(given).toEqual([false, true]);
  expect(server.opened).toHaveLength(1);
  client.close();
});

test("a refused token is replaced; where there is no other it says so, and waits to be told", async () => {
  const server = new Server();
  const [old, good] = [token("2", 10), token("2", 3600)];
  server.rejects = (shown) => shown === old;
  const client = server.client({ getToken: ({ renew }) => (renew ? good : old) });
  await vi.advanceTimersByTimeAsync(2000);
  expect(client.connection.getSnapshot().status).toBe("open");
  expect(server.opened.map((one) => one.token)).toEqual([old, good]);
  client.close();

  const stubborn = server.client({ token: old });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(stubborn.connection.getSnapshot().status).toBe("refused");
  const attempts = server.opened.length;
  await vi.advanceTimersByTimeAsync(600_000);
  expect(server.opened).toHaveLength(attempts);
  server.rejects = () => false;
  stubborn.close();
});

test("a place that the server no longer has is forgotten, and the list is read again", async () => {
  const server = new Server();
  const client = server.client();
  const truncated: (string | null)[] = [];
  client.on("truncated", ({ since }) => truncated.push(since));
  await vi.advanceTimersByTimeAsync(50);
  server.send();
  await vi.advanceTimersByTimeAsync(50);
  const before = server.requests.length;
  for (const { ears } of server.links) ears.truncated();
  await vi.advanceTimersByTimeAsync(50);
  expect(truncated).toHaveLength(1);
  expect(server.requests.length).toBe(before + 1);
  client.close();
});

test("a clock that is wrong by hours asks for no more tokens than a right one", async () => {
  const server = new Server();
  let given = 0;
  const client = server.client({
    getToken: () => {
      given += 1;
      return token("2", -7200 + given);
    },
  });
  await vi.advanceTimersByTimeAsync(300_000);
  expect(given).toBeLessThan(8);
  expect(client.connection.getSnapshot().status).toBe("open");
  client.close();
});

test("a transport that cannot even begin is tried again", async () => {
  const server = new Server();
  let attempts = 0;
  const client = server.client({
    transport: {
      open: (at, ears) => {
        attempts += 1;
        if (attempts < 3) throw new Error("not from this page");
        return server.transport.open(at, ears);
      },
    },
  });
  await vi.advanceTimersByTimeAsync(100);
  expect(client.connection.getSnapshot()).toMatchObject({ status: "waiting", detail: "not from this page" });
  await vi.advanceTimersByTimeAsync(5000);
  expect(client.connection.getSnapshot().status).toBe("open");
  client.close();
});

test("where there is no WebSocket, that is said at once, and what to do", async () => {
  vi.stubGlobal("WebSocket", undefined);
  const at = { url: "http://nowhere.invalid", token: token("2"), storage: null };
  expect(() => connect(at)).toThrow(/no WebSocket.*version 22.*webSocket\(\{ WebSocket \}\).*socketIo\(io\)/);
  expect(() => connect({ ...at, transport: webSocket() })).toThrow(/no WebSocket/);
  const asked: string[] = [];
  class Given {
    readonly readyState = 0;
    onopen = null;
    onmessage = null;
    onclose = null;
    onerror = null;
    constructor(url: string) {
      asked.push(new URL(url).pathname);
    }
    send(): void {}
    close(): void {}
  }
  const client = connect({ ...at, transport: webSocket({ WebSocket: Given }) });
  await vi.advanceTimersByTimeAsync(50);
  expect(asked).toEqual(["/ws/notify"]);
  client.close();
  vi.unstubAllGlobals();
});
