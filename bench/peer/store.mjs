// The peer's database: the seed's two tables in one SQLite file, every statement prepared once. `insert` returns
// only after its transaction is on the disk.

import { createHash } from "node:crypto";
import Database from "better-sqlite3";

const schema = `
  CREATE TABLE IF NOT EXISTS stored_notification (
    id INTEGER PRIMARY KEY,
    facilitator_id INTEGER NOT NULL,
    booking_id INTEGER NOT NULL,
    user_name TEXT NOT NULL,
    user_email TEXT NOT NULL,
    session_title TEXT NOT NULL,
    session_start_time TEXT NOT NULL,
    message_data TEXT NOT NULL,
    created_at TEXT NOT NULL,
    delivered INTEGER NOT NULL DEFAULT 0,
    request_digest BLOB
  );
  CREATE UNIQUE INDEX IF NOT EXISTS requests ON stored_notification (request_digest);
  CREATE INDEX IF NOT EXISTS pending_by_facilitator ON stored_notification (facilitator_id, delivered);
  CREATE TABLE IF NOT EXISTS facilitator_session (
    id INTEGER PRIMARY KEY,
    facilitator_id INTEGER NOT NULL,
    socket_id TEXT NOT NULL,
    connected_at TEXT NOT NULL,
    last_seen TEXT NOT NULL
  );
`;

export function openStore(file) {
  const db = new Database(file);
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  db.exec(schema);
  db.exec("DELETE FROM facilitator_session");

  const insertOne = db.prepare(`INSERT OR IGNORE INTO stored_notification
    (facilitator_id, booking_id, user_name, user_email, session_title, session_start_time, message_data,
     created_at, delivered, request_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const earlier = db.prepare("SELECT id, created_at, delivered FROM stored_notification WHERE request_digest = ?");
  const forget = db.prepare("UPDATE stored_notification SET request_digest = NULL WHERE id = ?");
  const pending = db.prepare(`SELECT id, message_data, created_at FROM stored_notification
    WHERE facilitator_id = ? AND delivered = 0 ORDER BY id DESC`);
  const markRead = db.prepare("UPDATE stored_notification SET delivered = 1 WHERE id = ? AND facilitator_id = ?");
  const openSession = db.prepare(`INSERT INTO facilitator_session
    (facilitator_id, socket_id, connected_at, last_seen) VALUES (?, ?, ?, ?)`);
  const closeSession = db.prepare("DELETE FROM facilitator_session WHERE id = ?");
  const count = (sql) => db.prepare(sql).pluck();
  const total = count("SELECT count(*) FROM stored_notification");
  const undelivered = count("SELECT count(*) FROM stored_notification WHERE delivered = 0");
  const sessions = count("SELECT count(*) FROM facilitator_session");

  function insertEntry(entry, now) {
    const { facilitator_id, booking_id, user, session } = entry.booking;
    // A resend within 24 hours is answered as before and not stored twice.
    const digest = createHash("sha256").update(JSON.stringify(entry.booking)).digest().subarray(0, 16);
    const written = insertOne.run(
      facilitator_id,
      booking_id,
      user.name,
      user.email,
      session.title,
      session.start_time,
      JSON.stringify(entry.notification),
      now,
      entry.online ? 1 : 0,
      digest,
    );
    if (written.changes === 1) {
      entry.id = written.lastInsertRowid;
      return;
    }
    const before = earlier.get(digest);
    if (Date.now() - Date.parse(before.created_at) > 24 * 60 * 60 * 1000) {
      forget.run(before.id);
      insertEntry(entry, now);
      return;
    }
    Object.assign(entry, { id: before.id, resend: true, online: before.delivered === 1 });
  }
  const insertMany = db.transaction((batch, now) => {
    for (const entry of batch) insertEntry(entry, now);
  });

  return {
    /** Commits every entry of the batch in one transaction and gives each its `id`. */
    insert: (batch, now) => (batch.length === 1 ? insertEntry(batch[0], now) : insertMany(batch, now)),
    pending: (facilitator) =>
      pending.all(facilitator).map((row) => ({
        ...JSON.parse(row.message_data),
        notification_id: row.id,
        stored_at: row.created_at,
      })),
    markRead: (id, facilitator) => markRead.run(id, facilitator).changes > 0,
    openSession: (facilitator, socketId) => {
      const now = new Date().toISOString();
      return openSession.run(facilitator, socketId, now, now).lastInsertRowid;
    },
    closeSession: (session) => closeSession.run(session),
    counts: () => ({
      total_notifications: total.get(),
      pending_notifications: undelivered.get(),
      facilitator_sessions: sessions.get(),
    }),
  };
}
