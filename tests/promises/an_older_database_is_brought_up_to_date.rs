//! Whoever starts a new release on a database of an old one finds everything there, and working: what the first release wrote
//! is read by this one, from whatever step of the schema the way begins.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::{Clients, Ground, PendingList, Rest, Server, booking, run_command};

/// Steps that the first release had.
const FIRST: usize = 2;
const ON_SQLITE: &str = include_str!("first_release/sqlite.sql");
const ON_POSTGRES: &str = include_str!("first_release/postgres.sql");

/// A step of the schema: its version, and its statements for SQLite and PostgreSQL.
struct Step {
    version: String,
    up: [String; 2],
    down: [String; 2],
}

fn steps() -> Vec<Step> {
    let folder =
        |kind: &str| -> PathBuf { [env!("CARGO_MANIFEST_DIR"), "migrations", kind].iter().collect() };
    let mut names: Vec<String> = fs::read_dir(folder("sqlite"))
        .expect("migrations")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    let read = |name: &str, file: &str| {
        ["sqlite", "postgres"]
            .map(|kind| fs::read_to_string(folder(kind).join(name).join(file)).expect("statements"))
    };
    names
        .iter()
        .map(|name| Step {
            version: name.split('_').next().expect("a version").replace('-', ""),
            up: read(name, "up.sql"),
            down: read(name, "down.sql"),
        })
        .collect()
}

/// A database of somebody who stopped at this step, with what the first release wrote.
struct Old {
    ground: Ground,
    home: tempfile::TempDir,
}

impl Old {
    fn at(steps: &[Step]) -> Self {
        let old = Self { ground: Ground::usual(), home: tempfile::tempdir().expect("a folder") };
        let table = "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
            run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)";
        old.tell(table, table);
        for (number, step) in steps.iter().enumerate() {
            old.up(step);
            if number + 1 == FIRST {
                old.tell(ON_SQLITE, ON_POSTGRES);
            }
        }
        old
    }

    fn tell(&self, on_sqlite: &str, on_postgres: &str) {
        self.ground.sql(self.home.path(), on_sqlite, on_postgres);
    }

    fn up(&self, Step { version, up: [on_sqlite, on_postgres], .. }: &Step) {
        let done = format!("; INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}')");
        self.tell(&format!("{on_sqlite}{done}"), &format!("{on_postgres}{done}"));
    }

    fn down(&self, Step { version, down: [on_sqlite, on_postgres], .. }: &Step) {
        let done = format!("; DELETE FROM __diesel_schema_migrations WHERE version = '{version}'");
        self.tell(&format!("{on_sqlite}{done}"), &format!("{on_postgres}{done}"));
    }

    /// What `carillon migrate` says.
    fn migrate(&self) -> String {
        let (_, url) = self.ground.settings(self.home.path()).remove(0);
        let output = run_command(&["migrate", "--database-url", &url], &[]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// All that the first release wrote is as it was.
    fn check(&self, when: &str) {
        let rows = |question: &str| self.ground.rows(self.home.path(), question);
        for (many, question) in [
            (6, "SELECT 1 FROM notifications WHERE kind = 'new_booking' AND tenant = 'default'"),
            (1, "SELECT 1 FROM notifications WHERE id = 2 AND message LIKE '%O''Brien; DROP TABLE — Ζωή%'"),
            (6, "SELECT 1 FROM inbox JOIN notifications ON id = notification_id"),
            (3, "SELECT 1 FROM recipients"),
            (1, "SELECT 1 FROM inbox WHERE read_at IS NOT NULL AND confirmed_by = 'read'"),
            (1, "SELECT 1 FROM inbox WHERE sent_at < confirmed_at AND confirmed_by = 'heartbeat'"),
            (
                6,
                "SELECT 1 FROM notifications WHERE idempotency_key IS NOT NULL AND request_digest IS NOT NULL",
            ),
        ] {
            assert_eq!(rows(question), many, "{when}: {question}");
        }
    }
}

#[test]
fn what_the_first_release_wrote_is_there_and_works() {
    let steps = steps();
    let old = Old::at(&steps[..FIRST]);
    // The day when it was written is long ago.
    let settings = [("retention.notifications_days", "0")];
    let in_home: &Path = old.home.path();
    let server = match &old.ground {
        Ground::Sqlite => Server::in_home(in_home, &settings),
        shared => Server::on(shared, &settings),
    };
    old.check("after the start");
    assert!(old.ground.rows(in_home, "SELECT 1 FROM __diesel_schema_migrations") == steps.len() as i64);
    assert_eq!(server.stats()["total_notifications"], 6);

    let clients = Clients::of(&server);
    let pages = [(2, vec![5, 2]), (3, vec![3]), (4, vec![6])].map(|(user, waiting)| {
        let page = clients.facilitator(user);
        assert_eq!(PendingList(page.hear("pending_notifications")).booking_ids(), waiting);
        page
    });
    let receipt = clients.backend().call("booking_notification", booking(7, 2));
    assert_eq!(receipt["notification_id"], 7, "{receipt}");
    assert_eq!(pages[0].hear("new_booking_notification")["booking_id"], 7);

    // What came later knows what was there before.
    let two = Rest::user(&server, 2);
    let page = two.get("/api/v1/notifications").expect(200);
    assert_eq!((&page["total_count"], &page["unread_count"]), (&json!(5), &json!(4)), "{page}");
    assert_eq!(
        two.get("/api/v1/notifications?unread_only=true&type=new_booking").expect(200)["total_count"],
        4
    );
    let service = Rest::backend(&server);
    let timeline = service.get("/api/v1/notifications/1/timeline?user_id=2").expect(200).to_string();
    assert!(timeline.contains("read"), "{timeline}");
    two.post("/api/v1/notifications/2/read", &json!({})).expect(200);
    assert_eq!(two.delete("/api/v1/notifications/5").status / 100, 2);
    two.put("/api/v1/notifications/preferences", &json!({"types": {"news": {"push": false}}})).expect(200);
    two.put("/api/v1/digest/subscription", &json!({"delivery_time": "23:59"})).expect(200);
    two.post("/api/v1/subscriptions", &json!({"topic": "news"}));
    let page = two.get("/api/v1/notifications").expect(200);
    assert_eq!((&page["total_count"], &page["unread_count"]), (&json!(4), &json!(2)), "{page}");
    assert_eq!(service.send(&json!({"user_id": 4, "type": "note", "title": "new"}))["id"], 8);
    assert_eq!(Rest::user(&server, 4).titles(), ["new", "Morning Meditation"]);
}

#[test]
fn the_way_may_begin_at_any_step() {
    let steps = steps();
    let last = &steps[steps.len() - 1].version;
    for stopped in FIRST..=steps.len() {
        let old = Old::at(&steps[..stopped]);
        let said = old.migrate();
        let expected = if stopped == steps.len() { "The database is up to date." } else { last };
        assert!(said.contains(expected), "from step {stopped}: {said}");
        old.check(&format!("from step {stopped}"));
        assert!(old.migrate().contains("The database is up to date."));
    }
}

#[test]
fn each_step_leads_back_and_forth() {
    let steps = steps();
    let old = Old::at(&steps);
    for step in steps[FIRST..].iter().rev() {
        old.down(step);
        old.check(&format!("back from {}", step.version));
    }
    assert!(old.migrate().contains(&steps[FIRST].version));
    old.check("there again");
}
