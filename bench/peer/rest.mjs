// The peer of REST: fastify and better-sqlite3. A notification for whoever shows a JWT is checked, stored together with
// its place in their inbox in one transaction (WAL, synchronous=FULL), and then answered.

import { randomUUID } from "node:crypto";
import Database from "better-sqlite3";
import Fastify from "fastify";
import { ownerOf } from "./protocol.mjs";

const db = new Database(process.env.DATABASE_FILE ?? "notifications.db");
db.pragma("journal_mode = WAL");
db.pragma("synchronous = FULL");
db.exec(`
  CREATE TABLE IF NOT EXISTS notifications (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    title TEXT NOT NULL,
    message TEXT NOT NULL,
    data TEXT NOT NULL,
    priority TEXT NOT NULL,
    sender TEXT NOT NULL,
    created_at TEXT NOT NULL
  );
  CREATE TABLE IF NOT EXISTS inbox (
    user_id TEXT NOT NULL,
    notification_id INTEGER NOT NULL REFERENCES notifications (id),
    read_at TEXT,
    PRIMARY KEY (user_id, notification_id)
  ) WITHOUT ROWID;
`);
const content = db.prepare(`INSERT INTO notifications (uuid, type, title, message, data, priority, sender, created_at)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
const entry = db.prepare("INSERT INTO inbox (user_id, notification_id) VALUES (?, ?)");
const total = db.prepare("SELECT count(*) FROM inbox").pluck();
const store = db.transaction((owner, uuid, now, { type, title = "", message = "", data = {}, priority = "normal" }) => {
  const { lastInsertRowid: id } = content.run(
    uuid, type, title, message, JSON.stringify(data), priority, owner, now,
  );
  entry.run(owner, id);
  return id;
});

const text = (maxLength) => ({ type: "string", maxLength });
const body = {
  type: "object",
  required: ["type", "title"],
  additionalProperties: false,
  properties: {
    type: { ...text(128), minLength: 1 },
    title: text(512),
    message: text(32_768),
    data: { type: "object" },
    priority: { enum: ["low", "normal", "high", "urgent"] },
  },
};
const answer = {
  type: "object",
  properties: {
    id: { type: "integer" },
    uuid: text(36),
    status: text(16),
    created_at: text(32),
    sent_at: { type: "null" },
    scheduled_at: { type: "null" },
    channels: { type: "array", items: text(16) },
  },
};

const app = Fastify({ logger: false });
app.post("/api/v1/notifications", { schema: { body, response: { 201: answer } } }, (request, reply) => {
  const owner = ownerOf(request.headers.authorization?.replace(/^Bearer /i, ""));
  if (owner === undefined) return reply.code(401).send({ error: "Invalid token" });
  const [uuid, now] = [randomUUID(), new Date().toISOString()];
  const id = store(owner, uuid, now, request.body);
  reply.code(201).header("location", `/api/v1/notifications/${id}`);
  reply.send({ id, uuid, status: "pending", created_at: now, sent_at: null, scheduled_at: null, channels: ["in_app"] });
});
app.get("/stats", () => ({ total_notifications: total.get() }));

await app.listen({ host: process.env.HOST ?? "127.0.0.1", port: Number(process.env.PORT ?? 0) });
const { address, port } = app.server.address();
console.log(JSON.stringify({ message: "listening", address: `${address}:${port}` }));
