// Fills the inboxes of a Carillon that does not run: `node fill.mjs FILE COUNT…` gives user 1 the first count of
// notifications, user 2 the second, and so on. Every third was read. `+COUNT` makes so many people who have nothing but an e-mail address.

import { randomUUID } from "node:crypto";
import Database from "better-sqlite3";

const [file, ...counts] = process.argv.slice(2);
const db = new Database(file);
const person = db.prepare("INSERT INTO recipients (tenant, user_id, contacts) VALUES ('default', ?, ?)");
const content = db.prepare(`INSERT INTO notifications (uuid, tenant, kind, topic, title, message, data, created_at)
  VALUES (?, 'default', 'news', '', 'A title', 'A text of some words, as such texts are.', '{}', ?)`);
const entry = db.prepare("INSERT INTO inbox (recipient_id, position, notification_id, read_at) VALUES (?, ?, ?, ?)");
db.transaction(() => {
  counts.forEach((count, index) => {
    if (count.startsWith("+")) {
      for (let n = 1; n <= Number(count); n += 1) person.run(`p${n}`, JSON.stringify({ email: `p${n}@example.com` }));
      return;
    }
    const row = person.run(String(index + 1), null).lastInsertRowid;
    for (let n = 0; n < Number(count); n += 1) {
      const now = Date.now() * 1000;
      const id = content.run(Buffer.from(randomUUID().replaceAll("-", ""), "hex"), now).lastInsertRowid;
      entry.run(row, id, id, n % 3 === 0 ? now : null);
    }
  });
})();
db.close();
