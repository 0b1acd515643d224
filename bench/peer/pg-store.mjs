// The peer's database on PostgreSQL: the seed's two tables, a pool of connections, every statement prepared once on
// each of them. `insert` returns only after its transaction is on the disk (synchronous_commit is on, as installed);
// bookings that commit on several connections at once share PostgreSQL's flush.

import { createHash } from "node:crypto";
import pg from "pg";

const schema = `
  CREATE TABLE IF NOT EXISTS stored_notification (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    facilitator_id BIGINT NOT NULL,
    booking_id BIGINT NOT NULL,
    user_name TEXT NOT NULL,
    user_email TEXT NOT NULL,
    session_title TEXT NOT NULL,
    session_start_time TEXT NOT NULL,
    message_data TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    delivered BOOLEAN NOT NULL DEFAULT FALSE,
    request_digest BYTEA UNIQUE
  );
  CREATE INDEX IF NOT EXISTS pending_by_facilitator ON stored_notification (facilitator_id) WHERE NOT delivered;
  CREATE TABLE IF NOT EXISTS facilitator_session (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    facilitator_id BIGINT NOT NULL,
    socket_id TEXT NOT NULL,
    connected_at TIMESTAMPTZ NOT NULL,
    last_seen TIMESTAMPTZ NOT NULL
  );
`;

const statements = {
  insertOne: `INSERT INTO stored_notification
    (facilitator_id, booking_id, user_name, user_email, session_title, session_start_time, message_data,
     created_at, delivered, request_digest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (request_digest) DO NOTHING RETURNING id`,
  earlier: "SELECT id, created_at, delivered FROM stored_notification WHERE request_digest = $1",
  forget: "UPDATE stored_notification SET request_digest = NULL WHERE id = $1",
  pending: `SELECT id, message_data, created_at FROM stored_notification
    WHERE facilitator_id = $1 AND NOT delivered ORDER BY id DESC`,
  markRead: "UPDATE stored_notification SET delivered = TRUE WHERE id = $1 AND facilitator_id = $2",
  openSession: `INSERT INTO facilitator_session
    (facilitator_id, socket_id, connected_at, last_seen) VALUES ($1, $2, $3, $3) RETURNING id`,
  closeSession: "DELETE FROM facilitator_session WHERE id = $1",
  counts: `SELECT count(*) AS total_notifications, count(*) FILTER (WHERE NOT delivered) AS pending_notifications,
    (SELECT count(*) FROM facilitator_session) AS facilitator_sessions FROM stored_notification`,
};

export async function openStore(connectionString) {
  pg.types.setTypeParser(pg.types.builtins.INT8, Number);
  const pool = new pg.Pool({ connectionString, max: 10 });
  pool.on("error", (fault) => {
    console.error(JSON.stringify({ message: "database connection lost", error: fault.message }));
  });
  await pool.query(schema);
  const run = (name, values) => pool.query({ name, text: statements[name], values });

  async function insert(entry, now) {
    const { facilitator_id, booking_id, user, session } = entry.booking;
    // A resend within 24 hours is answered as before and not stored twice.
    const digest = createHash("sha256").update(JSON.stringify(entry.booking)).digest().subarray(0, 16);
    const written = await run("insertOne", [
      facilitator_id,
      booking_id,
      user.name,
      user.email,
      session.title,
      session.start_time,
      JSON.stringify(entry.notification),
      now,
      entry.online,
      digest,
    ]);
    if (written.rows.length === 1) {
      entry.id = written.rows[0].id;
      return;
    }
    const before = (await run("earlier", [digest])).rows[0];
    if (Date.now() - before.created_at.getTime() > 24 * 60 * 60 * 1000) {
      await run("forget", [before.id]);
      return insert(entry, now);
    }
    Object.assign(entry, { id: before.id, resend: true, online: before.delivered });
  }

  return {
    /** Commits the entry in a transaction of its own and gives it its `id`. */
    insert,
    pending: async (facilitator) =>
      (await run("pending", [facilitator])).rows.map((row) => ({
        ...JSON.parse(row.message_data),
        notification_id: row.id,
        stored_at: row.created_at,
      })),
    markRead: async (id, facilitator) => (await run("markRead", [id, facilitator])).rowCount > 0,
    openSession: async (facilitator, socketId) =>
      (await run("openSession", [facilitator, socketId, new Date().toISOString()])).rows[0].id,
    closeSession: (session) => run("closeSession", [session]),
    counts: async () => (await run("counts", [])).rows[0],
  };
}
