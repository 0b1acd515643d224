// Drives many real socket.io-client sockets on command: one JSON command per line on standard input,
// one JSON line on standard output per thing that happened. The libraries are used as they come.
//
//   {"do":"connect","socket":"a","url":…,"client":"4.8"|"4.1","transports":[…],"options":{…},"hello":[[event,…args]]}
//   {"do":"emit","socket":"a","event":…,"args":[…]}            {"do":"emit_ack", …, "call":N}
//   {"do":"burst","socket":"a","call":N,"booking":{…},"first":1,"count":2000,"acks":true,"window":256}
//   {"do":"cut","socket":"a"}  the line breaks, the client does not know why   {"do":"disconnect","socket":"a"}
//
// `hello` is emitted at every connect, as a page does in its connect handler. {"$bytes":N} in args becomes a Buffer.
import { createInterface } from "node:readline";
import { performance } from "node:perf_hooks";
import { io as io48 } from "socket.io-client";
import { io as io41 } from "socket.io-client-4-1";
import { WebSocket } from "ws";

const libraries = { 4.8: io48, 4.1: io41 };
const sockets = new Map();
let seq = 0;

function tell(socket, what, more = {}) {
  const line = { seq: ++seq, ms: performance.now(), socket, what, ...more };
  process.stdout.write(JSON.stringify(line) + "\n");
}

function withBytes(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(withBytes);
  if (typeof value.$bytes === "number") return Buffer.alloc(value.$bytes, 1);
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, withBytes(v)]));
}

// A raw WebSocket. A message is an event of the name that stands in its `type`; what is emitted goes the same way.
function open({ socket: name, url, options: { path = "/ws/notify", ...options } }) {
  const line = new WebSocket(url.replace(/^http/, "ws") + path, options);
  const events = new Map([["$text", ([text]) => line.send(text)], ["$bytes", ([bytes]) => line.send(bytes)]]);
  line.on("open", () => tell(name, "connected"));
  line.on("message", (text) => {
    const message = JSON.parse(text);
    tell(name, "event", { event: message.type ?? "?", args: [message] });
  });
  line.on("close", (code, reason) => tell(name, "disconnected", { code, reason: reason.toString() }));
  line.on("unexpected-response", (_, response) => tell(name, "connect_error", { status: response.statusCode, headers: response.headers }));
  line.on("error", () => {});
  sockets.set(name, {
    emit: (event, ...args) => (events.get(event) ?? (([more]) => line.send(JSON.stringify({ type: event, ...more }))))(args),
    disconnect: () => line.close(),
    io: { engine: { close: () => line.terminate() } },
  });
}

function connect(command) {
  command.client === "ws" ? open(command) : connectSocketIo(command);
}

function connectSocketIo({ socket: name, url, client = "4.8", transports, options = {}, hello = [] }) {
  const socket = libraries[client](url, { forceNew: true, ...(transports && { transports }), ...options });
  sockets.set(name, socket);
  socket.on("connect", () => {
    tell(name, "connected", { id: socket.id, transport: socket.io.engine.transport.name });
    for (const [event, ...args] of hello) socket.emit(event, ...args);
  });
  socket.on("disconnect", (reason) => tell(name, "disconnected", { reason }));
  socket.on("connect_error", (error) => {
    const status = error.description?.status ?? error.context?.status ?? error.description ?? null;
    tell(name, "connect_error", { message: error.message, data: error.data ?? null, status: typeof status === "object" ? null : status });
  });
  socket.onAny((event, ...args) => tell(name, "event", { event, args }));
  socket.io.on("open", () => {
    socket.io.engine.on("upgrade", (transport) => tell(name, "upgraded", { transport: transport.name }));
  });
}

// Emits `count` bookings, numbered from `first`; with `window`, at most that many wait for their ack callback.
// Ends when all are sent (or answered, with `acks`), or when the socket goes away.
function burst({ socket: name, call, event = "booking_notification", booking, first = 1, count, acks = false, window = Infinity }) {
  const socket = sockets.get(name);
  let sent = 0, answered = 0, over = false;
  const end = () => {
    if (over) return;
    over = true;
    socket.off("disconnect", end);
    tell(name, "burst", { call, sent, answered });
  };
  const pump = () => {
    while (!over && sent < count && sent - answered < window) {
      if (!socket.connected) return end();
      const payload = { ...booking, booking_id: first + sent++ };
      if (!acks) { socket.emit(event, payload); continue; }
      socket.emit(event, payload, (...args) => {
        answered++;
        tell(name, "ack", { call, args });
        answered === count ? end() : pump();
      });
    }
    if (!acks && sent === count) end();
  };
  socket.on("disconnect", end);
  pump();
}

const commands = {
  connect,
  burst,
  emit: ({ socket, event, args }) => sockets.get(socket).emit(event, ...withBytes(args)),
  emit_ack: ({ socket, event, args, call }) =>
    sockets.get(socket).emit(event, ...withBytes(args), (...answer) => tell(socket, "ack", { call, args: answer })),
  cut: ({ socket }) => sockets.get(socket).io.engine.close(),
  disconnect: ({ socket }) => sockets.get(socket).disconnect(),
};

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
});
lines.on("close", () => process.exit(0));
