// The peer of the fan-out: socket.io rooms. Whoever shows a JWT joins one room; a POST is sent to all of it. Nothing is
// stored. Runs on Node, and on Bun with Bun's own engine for sockets.

import { createServer } from "node:http";
import { Server } from "socket.io";
import { ownerOf } from "./protocol.mjs";

const io = new Server({ cors: { origin: "*" }, transports: ["polling", "websocket"] });
io.use((socket, next) => {
  const owner = ownerOf(socket.handshake.auth?.token);
  if (owner === undefined) return next(new Error("Authentication failed"));
  socket.data.owner = owner;
  next();
});
io.on("connection", (socket) => {
  socket.join("room");
  socket.emit("authenticated", { status: "authenticated", user_id: socket.data.owner });
});

let sent = 0;
function emit(body) {
  sent += 1;
  const { type, title, message, data } = JSON.parse(body);
  const createdAt = new Date().toISOString();
  io.to("room").emit("notification", { id: sent, type, title, message, data, createdAt });
  return JSON.stringify({ id: sent });
}

const hostname = process.env.HOST ?? "127.0.0.1";
const port = Number(process.env.PORT ?? 0);
const listening = (port) => console.log(JSON.stringify({ message: "listening", address: `${hostname}:${port}` }));
const json = { "content-type": "application/json" };

if (process.versions.bun) {
  const { Server: Engine } = await import("@socket.io/bun-engine");
  const engine = new Engine({ path: "/socket.io/" });
  io.bind(engine);
  const { fetch: sockets, ...handler } = engine.handler();
  const server = Bun.serve({
    ...handler,
    hostname,
    port,
    async fetch(request, server) {
      if (request.method !== "POST" || !request.url.endsWith("/emit")) return sockets(request, server);
      return new Response(emit(await request.text()), { status: 201, headers: json });
    },
  });
  listening(server.port);
} else {
  const http = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      const answer = emit(body);
      response.writeHead(201, { ...json, "content-length": Buffer.byteLength(answer) }).end(answer);
    });
  });
  io.attach(http);
  http.listen(port, hostname, () => listening(http.address().port));
}
