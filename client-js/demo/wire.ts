// What crosses the sockets of this page, as developers want to see it. Tokens are cut short: people take screenshots.

import type { SocketIoClient, SocketIoSocket } from "carillon-client";
import { io } from "socket.io-client";

export interface Row {
  readonly key: number;
  readonly at: number;
  readonly who: string;
  readonly way: "out" | "in" | "note";
  readonly event: string;
  readonly payload: string;
}

const KEPT = 200;
let rows: readonly Row[] = [];
let last = 0;
const listeners = new Set<() => void>();

export const wire = {
  subscribe: (listener: () => void): (() => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  getSnapshot: (): readonly Row[] => rows,
  clear: (): void => {
    rows = [];
    for (const listener of listeners) listener();
  },
};

const hidden = (key: string, value: unknown): unknown => (key === "token" && typeof value === "string" ? `${value.slice(0, 8)}…` : value);

function log(who: string, way: Row["way"], event: string, given: readonly unknown[] = []): void {
  last += 1;
  const payload = given.filter((one) => typeof one !== "function").map((one) => JSON.stringify(one, hidden));
  rows = [...rows, { key: last, at: Date.now(), who, way, event, payload: payload.join(", ") }].slice(-KEPT);
  for (const listener of listeners) listener();
}

/** The stock `io`, writing down all that `who` says and hears. */
export const watched = (who: string): SocketIoClient => (url, options) => {
  const socket = io(url, options);
  socket.on("connect", () => log(who, "note", `connected by ${socket.io.engine.transport.name}`));
  socket.on("disconnect", (reason) => log(who, "note", `disconnected: ${reason}`));
  socket.on("connect_error", ({ message }) => log(who, "note", `cannot connect: ${message}`));
  socket.onAny((event: string, ...given: unknown[]) => log(who, "in", event, given));
  socket.onAnyOutgoing((event: string, ...given: unknown[]) => log(who, "out", event, given));
  return socket as unknown as SocketIoSocket;
};
