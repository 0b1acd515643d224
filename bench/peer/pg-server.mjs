// The peer on PostgreSQL: the same protocol as server.mjs, as a competent Node developer would write it for `pg` and,
// with REDIS_SOCKET set, for several processes on @socket.io/redis-adapter. It promises the same: no answer before the
// booking is committed, facilitators proved by their JWT, missed bookings listed on return.

import { createServer } from "node:http";
import { Server } from "socket.io";
import { openStore } from "./pg-store.mjs";
import { localPresence, sharedPresence } from "./presence.mjs";
import { backendToken, missingField, owns, ownsFacilitator, roomOf, sameSecret } from "./protocol.mjs";

const http = createServer(answerHttp);
const io = new Server(http, {
  cors: { origin: "*" },
  transports: ["polling", "websocket"],
  pingInterval: 25_000,
  pingTimeout: 20_000,
});
const redisSocket = process.env.REDIS_SOCKET;
const presence = redisSocket ? await sharedPresence(io, redisSocket) : localPresence();
const store = await openStore(process.env.DATABASE_URL);
let backends = 0;

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

  on(socket, "facilitator_connect", async ({ facilitator_id: given, token }) => {
    const facilitator = Number(given);
    if (!facilitator) return socket.emit("auth_error", { error: "Facilitator ID required" });
    if (!ownsFacilitator(token, facilitator)) return socket.emit("auth_error", { error: "Invalid token" });
    if (socket.data.facilitator === undefined) {
      socket.data.facilitator = facilitator;
      socket.join(roomOf(facilitator));
      const [session] = await Promise.all([
        store.openSession(facilitator, socket.id),
        presence.arrived(facilitator, socket.id),
      ]);
      socket.data.session = session;
      if (!socket.connected) return leave(socket);
    }
    socket.emit("facilitator_auth_success", { status: "authenticated", facilitator_id: facilitator });
    const notifications = await store.pending(facilitator);
    if (notifications.length > 0) {
      socket.emit("pending_notifications", { notifications, count: notifications.length });
    }
  });

  on(socket, "booking_notification", async (booking, ack) => {
    const answer = (event, body) => {
      socket.emit(event, body);
      if (typeof ack === "function") ack(body);
    };
    if (!socket.data.backend) return answer("error", { error: "Unauthorized" });
    const missing = missingField(booking);
    if (missing) {
      return answer("notification_error", { error: `Missing field: ${missing}`, booking_id: booking.booking_id });
    }
    await settle(booking, answer);
  });

  on(socket, "get_pending_notifications", async ({ facilitator_id }) => {
    if (!owns(socket, facilitator_id)) return socket.emit("error", { error: "Unauthorized" });
    const notifications = await store.pending(socket.data.facilitator);
    socket.emit("pending_notifications", { notifications, count: notifications.length });
  });

  on(socket, "mark_notification_read", async ({ facilitator_id, notification_id }) => {
    if (!owns(socket, facilitator_id)) return socket.emit("error", { error: "Unauthorized" });
    if (!(await store.markRead(notification_id, socket.data.facilitator))) {
      return socket.emit("error", { error: "Notification not found" });
    }
    io.to(roomOf(socket.data.facilitator)).emit("notification_marked_read", { notification_id });
  });

  socket.on("disconnect", () => {
    if (socket.data.backend) backends -= 1;
    if (socket.data.session !== undefined) leave(socket);
  });
});

async function leave(socket) {
  const { facilitator, session } = socket.data;
  const left = [presence.left(facilitator, socket.id), store.closeSession(session)];
  await Promise.all(left).catch((fault) => failed("disconnect", fault));
}

// One commit per booking, before any answer. "Online?" comes first, because the row says whether it was delivered.
async function settle(booking, answer) {
  const now = new Date().toISOString();
  const { booking_id, facilitator_id, user, session } = booking;
  const notification = {
    type: "new_booking",
    booking_id,
    user,
    session,
    timestamp: now,
    message: `New booking from ${user.name} for ${session.title}`,
  };
  const entry = { booking, notification };
  try {
    entry.online = await presence.isOnline(Number(facilitator_id));
    await store.insert(entry, now);
  } catch (fault) {
    failed("booking_notification", fault);
    return answer("notification_error", { error: "Storage failed", booking_id });
  }
  const { id, online, resend } = entry;
  if (online) {
    const told = { ...notification, notification_id: id };
    if (!resend) io.to(roomOf(facilitator_id)).emit("new_booking_notification", told);
    answer("notification_delivered", { booking_id, facilitator_id, delivered_at: now, notification_id: id });
  } else {
    answer("notification_stored", { booking_id, facilitator_id, stored_at: now, notification_id: id });
  }
}

/** Listens for an event whose first argument must be an object; anything else is answered, never thrown. */
function on(socket, event, handler) {
  socket.on(event, async (payload, ack) => {
    if (payload === null || typeof payload !== "object") return socket.emit("error", { error: "Invalid payload" });
    try {
      await handler(payload, ack);
    } catch (fault) {
      failed(event, fault);
      socket.emit("error", { error: "Internal error" });
    }
  });
}

function failed(event, fault) {
  console.error(JSON.stringify({ message: "handler failed", event, error: fault.message }));
}

async function answerHttp(request, response) {
  const facts = () => ({ online_facilitators: presence.here(), backend_connected: backends > 0 });
  const body = {
    "/health": () => ({
      status: "healthy",
      service: "notification_service",
      timestamp: new Date().toISOString(),
      ...facts(),
    }),
    "/stats": async () => ({ ...facts(), ...(await store.counts()) }),
  }[request.url];
  try {
    const text = JSON.stringify(body ? await body() : { error: "Not found" });
    response.writeHead(body ? 200 : 404, { "content-type": "application/json" }).end(text);
  } catch (fault) {
    failed(request.url, fault);
    response.writeHead(503, { "content-type": "application/json" }).end(JSON.stringify({ error: "Unavailable" }));
  }
}

http.listen(Number(process.env.PORT ?? 0), process.env.HOST ?? "127.0.0.1", () => {
  const { address, port } = http.address();
  console.log(JSON.stringify({ message: "listening", address: `${address}:${port}` }));
});
