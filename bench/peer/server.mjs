// The peer: the booking protocol as a competent Node developer would write it today, on socket.io and
// better-sqlite3. It promises what Carillon promises: no answer before the booking is committed with an fsync
// (WAL, synchronous=FULL), facilitators proved by their JWT, missed bookings listed on return.
//
// PEER_TUNED=1 adds what an expert would do next: bookings that arrive in one turn of the event loop share a
// commit, and sockets drop their handshake request (both are in socket.io's or SQLite's own advice).

import { createServer } from "node:http";
import { Server } from "socket.io";
import { backendToken, missingField, owns, ownsFacilitator, roomOf, sameSecret } from "./protocol.mjs";
import { openStore } from "./store.mjs";

const tuned = process.env.PEER_TUNED === "1";
const store = openStore(process.env.DATABASE_FILE ?? "notifications.db");
const online = new Map(); // facilitator id → number of open tabs
let backends = 0;

const http = createServer(answerHttp);
const io = new Server(http, {
  cors: { origin: "*" },
  transports: ["polling", "websocket"],
  pingInterval: 25_000,
  pingTimeout: 20_000,
});
if (tuned) io.engine.on("connection", (socket) => (socket.request = null));

io.on("connection", (socket) => {
  socket.emit("connection_response", { status: "connected", socket_id: socket.id });

  on(socket, "backend_connect", ({ token }) => {
    if (!sameSecret(token, backendToken)) return socket.emit("auth_error", { error: "Invalid token" });
    if (!socket.data.backend) {
      socket.data.backend = true;
      backends += 1;
    }
    socket.join("backend");
    socket.emit("backend_auth_success", { status: "authenticated" });
  });

  on(socket, "facilitator_connect", ({ facilitator_id: given, token }) => {
    const facilitator = Number(given);
    if (!facilitator) return socket.emit("auth_error", { error: "Facilitator ID required" });
    if (!ownsFacilitator(token, facilitator)) return socket.emit("auth_error", { error: "Invalid token" });
    if (socket.data.facilitator === undefined) {
      socket.data.facilitator = facilitator;
      socket.data.session = store.openSession(facilitator, socket.id);
      online.set(facilitator, (online.get(facilitator) ?? 0) + 1);
      socket.join(roomOf(facilitator));
    }
    socket.emit("facilitator_auth_success", { status: "authenticated", facilitator_id: facilitator });
    const notifications = store.pending(facilitator);
    if (notifications.length > 0) {
      socket.emit("pending_notifications", { notifications, count: notifications.length });
    }
  });

  on(socket, "booking_notification", (booking, ack) => {
    const answer = (event, body) => {
      socket.emit(event, body);
      if (typeof ack === "function") ack(body);
    };
    if (!socket.data.backend) return answer("error", { error: "Unauthorized" });
    const missing = missingField(booking);
    if (missing) {
      return answer("notification_error", { error: `Missing field: ${missing}`, booking_id: booking.booking_id });
    }
    storeBooking(booking, answer);
  });

  on(socket, "get_pending_notifications", ({ facilitator_id }) => {
    if (!owns(socket, facilitator_id)) return socket.emit("error", { error: "Unauthorized" });
    const notifications = store.pending(socket.data.facilitator);
    socket.emit("pending_notifications", { notifications, count: notifications.length });
  });

  on(socket, "mark_notification_read", ({ facilitator_id, notification_id }) => {
    if (!owns(socket, facilitator_id)) return socket.emit("error", { error: "Unauthorized" });
    if (!store.markRead(notification_id, socket.data.facilitator)) {
      return socket.emit("error", { error: "Notification not found" });
    }
    io.to(roomOf(socket.data.facilitator)).emit("notification_marked_read", { notification_id });
  });

  socket.on("disconnect", () => {
    if (socket.data.backend) backends -= 1;
    const facilitator = socket.data.facilitator;
    if (facilitator === undefined) return;
    const tabs = online.get(facilitator) - 1;
    if (tabs > 0) online.set(facilitator, tabs);
    else online.delete(facilitator);
    store.closeSession(socket.data.session);
  });
});

// One commit per booking, before any answer; when tuned, one commit per turn of the event loop.
let gathered = [];
function storeBooking(booking, answer) {
  if (!tuned) return settle([{ booking, answer }]);
  gathered.push({ booking, answer });
  if (gathered.length === 1) {
    setImmediate(() => {
      const batch = gathered;
      gathered = [];
      settle(batch);
    });
  }
}

function settle(batch) {
  const now = new Date().toISOString();
  for (const entry of batch) {
    const { user, session } = entry.booking;
    entry.online = online.has(Number(entry.booking.facilitator_id));
    entry.notification = {
      type: "new_booking",
      booking_id: entry.booking.booking_id,
      user,
      session,
      timestamp: now,
      message: `New booking from ${user.name} for ${session.title}`,
    };
  }
  try {
    store.insert(batch, now);
  } catch (fault) {
    console.error(JSON.stringify({ message: "booking not stored", error: fault.message }));
    for (const { booking, answer } of batch) {
      answer("notification_error", { error: "Storage failed", booking_id: booking.booking_id });
    }
    return;
  }
  for (const { booking, answer, notification, id, online, resend } of batch) {
    const { booking_id, facilitator_id } = booking;
    if (online) {
      if (!resend) io.to(roomOf(facilitator_id)).emit("new_booking_notification", { ...notification, notification_id: id });
      answer("notification_delivered", { booking_id, facilitator_id, delivered_at: now, notification_id: id });
    } else {
      answer("notification_stored", { booking_id, facilitator_id, stored_at: now, notification_id: id });
    }
  }
}

/** Listens for an event whose first argument must be an object; anything else is answered, never thrown. */
function on(socket, event, handler) {
  socket.on(event, (payload, ack) => {
    if (payload === null || typeof payload !== "object") return socket.emit("error", { error: "Invalid payload" });
    try {
      handler(payload, ack);
    } catch (fault) {
      console.error(JSON.stringify({ message: "handler failed", event, error: fault.message }));
      socket.emit("error", { error: "Internal error" });
    }
  });
}

function answerHttp(request, response) {
  const body = {
    "/health": () => ({
      status: "healthy",
      service: "notification_service",
      timestamp: new Date().toISOString(),
      online_facilitators: online.size,
      backend_connected: backends > 0,
    }),
    "/stats": () => ({ online_facilitators: online.size, backend_connected: backends > 0, ...store.counts() }),
  }[request.url];
  response.writeHead(body ? 200 : 404, { "content-type": "application/json" });
  response.end(JSON.stringify(body ? body() : { error: "Not found" }));
}

http.listen(Number(process.env.PORT ?? 0), process.env.HOST ?? "127.0.0.1", () => {
  const { address, port } = http.address();
  console.log(JSON.stringify({ message: "listening", address: `${address}:${port}` }));
});
