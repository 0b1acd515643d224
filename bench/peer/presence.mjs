// Who is online. One process counts its own sockets; several share Redis, which also carries events between them.
//
// Of the ways Socket.IO's users ask "is anybody in this room, on any node?", this is the cheapest: a set per
// facilitator in Redis, one EXISTS per booking. `fetchSockets()` and `serverSideEmit()` ask every node and wait for
// each answer. A crashed node's entries lapse by themselves, because each node renews its own.

import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";

const lapse = 90; // seconds
const renewal = 30_000; // milliseconds

/** For one process. */
export function localPresence() {
  const sockets = new Map(); // facilitator id → number of open tabs
  return {
    arrived: (facilitator) => void sockets.set(facilitator, (sockets.get(facilitator) ?? 0) + 1),
    left: (facilitator) => {
      const tabs = sockets.get(facilitator) - 1;
      if (tabs > 0) sockets.set(facilitator, tabs);
      else sockets.delete(facilitator);
    },
    isOnline: (facilitator) => sockets.has(facilitator),
    here: () => sockets.size,
  };
}

/** For several: joins `io` to the others through the Redis behind this Unix socket. */
export async function sharedPresence(io, path) {
  const redis = createClient({ socket: { path } });
  const subscriber = redis.duplicate();
  for (const client of [redis, subscriber]) {
    client.on("error", (fault) => console.error(JSON.stringify({ message: "Redis", error: fault.message })));
  }
  await Promise.all([redis.connect(), subscriber.connect()]);
  io.adapter(createAdapter(redis, subscriber));

  const sockets = new Map(); // socket id → facilitator id
  const key = (facilitator) => `presence:${facilitator}`;
  const enter = (facilitator, socket) =>
    redis.multi().sAdd(key(facilitator), socket).expire(key(facilitator), lapse).exec();
  setInterval(() => {
    for (const [socket, facilitator] of sockets) enter(facilitator, socket).catch(() => {});
  }, renewal).unref();
  return {
    arrived: async (facilitator, socket) => {
      sockets.set(socket, facilitator);
      await enter(facilitator, socket);
    },
    left: async (facilitator, socket) => {
      sockets.delete(socket);
      await redis.sRem(key(facilitator), socket);
    },
    isOnline: async (facilitator) => (await redis.exists(key(facilitator))) === 1,
    here: () => new Set(sockets.values()).size,
  };
}
