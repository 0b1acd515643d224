//! Where there are keys, whoever reads the database alone reads no text, no contact, no push key and no secret of a webhook;
//! whoever asks the server reads all. Keys are changed while servers serve: whoever is killed on the way loses nothing, and
//! afterwards the old key is not needed. A server that lacks a key says so at its start.

use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{
    BACKEND_TOKEN, Clients, Dice, Ground, JWT_SECRET, METRICS_TOKEN, PendingList, Rest, Server, Shared,
    booking, eventually, in_seconds, instant, note, on_postgres, program, run_command, run_command_in,
};

/// A point on the curve: that of RFC 8291's example.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
/// What signs messages to a webhook.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A key of 32 bytes, for tests.
fn key() -> String {
    let output = run_command(&["keys", "new"], &[]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Words that stand nowhere else.
struct Words {
    all: Vec<String>,
    dice: Dice,
}

impl Words {
    fn new() -> Self {
        Self { all: Vec::new(), dice: Dice::of(7) }
    }

    fn next(&mut self) -> String {
        let letter = |number: u64| char::from(b'a' + u8::try_from(number).expect("a letter"));
        let word: String = (0..14).map(|_| letter(self.dice.below(26))).collect();
        self.all.push(format!("q{word}"));
        format!("q{word}")
    }
}

/// Puts words into everything that people and back ends say.
fn plant(server: &Server) -> Words {
    let mut words = Words::new();
    let mut say = || words.next();
    let (backend, ana) = (Rest::backend(server), Rest::user(server, 2));
    let boss = Rest::claiming(server, json!({"sub": "boss", "role": "admin"}));

    let mut booked = booking(1, 3);
    booked["user"]["name"] = json!(say());
    booked["user"]["email"] = json!(format!("{}@example.com", say()));
    booked["session"]["title"] = json!(say());
    Clients::of(server).backend().call("booking_notification", booked);

    let mut told = |mut one: Value| {
        one["title"] = json!(say());
        one["message"] = json!(say());
        one["data"] = json!({"about": say()});
        one["action_url"] = json!(format!("/{}", say()));
        one
    };
    backend.send(&told(note(2, "")));
    backend.send(&told(json!({"topic": "news", "type": "note"})));
    let mut later = told(note(2, ""));
    later["scheduled_at"] = json!(instant(in_seconds(3600)));
    backend.send(&later);
    let mut again = told(json!({"user_id": 2, "type": "note", "cron": "0 4 * * *", "time_zone": "UTC"}));
    again["priority"] = json!("high");
    backend.post("/api/v1/recurring", &again).expect(201);

    let (mail, other) = (words.next(), words.next());
    ana.put(
        "/api/v1/recipients/me",
        &json!({"email": format!("{mail}@example.com"), "phone": "+14155550123", "locale": "es-MX"}),
    )
    .expect(200);
    // Nobody is set who delivers it: it stays as what has failed.
    let beyond = json!({
        "user_id": 4, "title": words.next(), "message": words.next(), "channels": ["email", "sms"],
        "email": format!("{other}@example.com"), "phone_number": "+14155550177", "priority": "critical",
    });
    backend.post("/notify", &beyond).expect(200);
    words.all.extend(["4155550123".to_owned(), "4155550177".to_owned()]);

    let endpoint = "https://push.example.com/send/one";
    ana.post("/push/subscribe", &json!({"endpoint": endpoint, "keys": {"p256dh": P256DH, "auth": AUTH}}))
        .expect(201);
    let url = format!("https://hooks.example.com/{}", words.next());
    boss.post("/api/v1/webhooks", &json!({"url": url, "secret": SECRET})).expect(201);
    words.all.push(SECRET.to_owned());

    let wanted = json!({
        "is_enabled": true, "delivery_time": "07:00", "timezone": "America/New_York", "frequency": "daily",
        "include_types": [], "exclude_weekends": false, "min_priority": "low", "channels": ["in_app"],
    });
    ana.put("/api/v1/digest/subscription", &wanted).expect(200);
    backend.send(&json!({"user_id": 2, "type": "grade", "title": words.next(), "message": words.next()}));
    server.sql(
        "UPDATE digest_subscriptions SET next_at = next_at - 8 * 86400000000",
        "UPDATE digest_subscriptions SET next_at = next_at - INTERVAL '8 days'",
    );
    let digests = || ana.get("/api/v1/digests").expect(200)["digests"].as_array().map_or(0, Vec::len);
    eventually("a digest is there", || (digests() == 1).then_some(()));
    words
}

/// What everybody reads who may.
fn read(server: &Server) -> String {
    let boss = Rest::claiming(server, json!({"sub": "boss", "role": "admin"}));
    let (ana, backend) = (Rest::user(server, 2), Rest::backend(server));
    let seen: Vec<Value> = [
        (&ana, "/api/v1/notifications?limit=100"),
        (&ana, "/api/v1/recipients/me"),
        (&ana, "/api/v1/digests"),
        (&ana, "/api/v1/push/subscriptions"),
        (&Rest::user(server, 3), "/api/v1/notifications?limit=100"),
        (&backend, "/api/v1/recurring"),
        (&boss, "/api/v1/webhooks"),
    ]
    .into_iter()
    .map(|(who, path)| who.get(path).expect(200))
    .collect();
    json!(seen).to_string()
}

/// Everything that somebody finds who has the database, or a copy of it.
fn raw(server: &Server, ground: &Ground) -> Vec<u8> {
    match ground {
        Ground::Sqlite => {
            let files = std::fs::read_dir(server.home()).expect("its folder").map_while(Result::ok);
            let of_database =
                files.filter(|file| file.file_name().to_string_lossy().starts_with("carillon.db"));
            of_database.flat_map(|file| std::fs::read(file.path()).expect("a file")).collect()
        }
        Ground::Shared(shared) => {
            let tell = |question: &str| shared.database.tell(question).expect("rows");
            let tables = tell("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'");
            let rows = tables.iter().flat_map(|table| tell(&format!("SELECT t::text FROM {table} AS t")));
            rows.collect::<Vec<_>>().join("\n").into_bytes()
        }
    }
}

fn found(words: &Words, raw: &[u8]) -> Vec<String> {
    let is_there = |word: &[u8]| raw.windows(word.len()).any(|part| part == word);
    let keys = [P256DH, AUTH].map(|key| URL_SAFE_NO_PAD.decode(key).expect("base64url"));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut found: Vec<String> = words.all.iter().filter(|word| is_there(word.as_bytes())).cloned().collect();
    found
        .extend(keys.iter().filter(|key| is_there(key) || is_there(hex(key).as_bytes())).map(|key| hex(key)));
    found
}

/// The address of the database, and where commands about it are run.
fn url(server: &Server, ground: &Ground) -> String {
    let settings = ground.settings(server.home());
    settings.into_iter().find(|(name, _)| *name == "database.url").expect("an address").1
}

fn rotation(server: &Server, ground: &Ground, keys: &str) -> Child {
    let mut rotation = program();
    rotation
        .current_dir(server.home())
        .args(["keys", "rotate"])
        .envs([("DATABASE_URL", url(server, ground).as_str()), ("ENCRYPTION_KEYS", keys)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    rotation.spawn().expect("the program")
}

/// Whether it went well, and its words.
fn rotate(server: &Server, ground: &Ground, keys: &str) -> (bool, String) {
    let output = rotation(server, ground, keys).wait_with_output().expect("its words");
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// What a server says that does not start with these keys.
fn refused(home: &Path, url: &str, keys: &str) -> String {
    let variables = [
        ("CARILLON_ENV", "production"),
        ("JWT_SECRET_KEY", JWT_SECRET),
        ("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN),
        ("CARILLON_METRICS_TOKEN", METRICS_TOKEN),
        ("DATABASE_URL", url),
        ("ENCRYPTION_KEYS", keys),
    ];
    let output = run_command_in(home, &["serve", "--host", "127.0.0.1", "--port", "0"], &variables);
    assert!(!output.status.success(), "it started");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn whoever_has_the_database_reads_nothing() {
    let ground = Ground::usual();
    let mut server = Server::on(&ground, &[("ENCRYPTION_KEYS", &key())]);
    let words = plant(&server);
    let seen = read(&server);
    let told = words.all.iter().filter(|word| seen.contains(word.as_str())).count();
    assert!(told >= 15, "only {told} of {} words are told", words.all.len());
    assert!(server.stop().success());
    assert_eq!(found(&words, &raw(&server, &ground)), Vec::<String>::new());
    server.restart();
    assert_eq!(read(&server), seen, "all is there after a restart");
    assert!(!server.log().iter().any(|line| line.contains("stored in plain")));
}

#[test]
fn what_was_stored_before_is_read_and_encrypted_by_a_rotation() {
    let ground = Ground::usual();
    let mut server = Server::on(&ground, &[("ENCRYPTION_KEYS", "")]);
    server.wait_for_line("it warns", |line| line.contains("stored in plain: set ENCRYPTION_KEYS"));
    let words = plant(&server);
    let seen = read(&server);
    assert!(server.stop().success());
    // All of them are found by those who look like this.
    let plain = found(&words, &raw(&server, &ground));
    assert_eq!(plain.len(), words.all.len() + 2, "{plain:?} of {:?}", words.all);

    let key = key();
    let (went_well, said) = rotate(&server, &ground, &key);
    assert!(!went_well && said.contains("no server has been started yet with the key"), "{said}");
    server.set("ENCRYPTION_KEYS", &key);
    server.restart();
    assert_eq!(read(&server), seen);
    let (went_well, said) = rotate(&server, &ground, &key);
    assert!(went_well && said.contains("Nothing remains"), "{said}");
    assert_eq!(read(&server), seen);
    assert!(server.stop().success());
    assert_eq!(found(&words, &raw(&server, &ground)), Vec::<String>::new());

    // Nothing is left to do, and without the key nothing starts.
    let (went_well, said) = rotate(&server, &ground, &key);
    assert!(went_well && !said.contains("notifications"), "{said}");
    for keys in ["", &self::key()] {
        let said = refused(server.home(), &url(&server, &ground), keys);
        assert!(said.contains("is not among ENCRYPTION_KEYS. Put it back behind the newer ones"), "{said}");
        assert!(!said.contains(&key), "a key in {said}");
    }
    server.restart();
    assert_eq!(read(&server), seen);
}

#[test]
fn a_rotation_that_is_killed_loses_nothing() {
    let ground = Ground::usual();
    let (old, new) = (key(), key());
    let mut server = Server::on(&ground, &[("ENCRYPTION_KEYS", &old)]);
    let words = plant(&server);
    let back_end = Clients::of(&server).backend();
    back_end
        .burst(json!({"booking": booking(0, 9), "first": 1, "count": 3_000, "acks": true, "window": 128}))
        .wait();
    drop(back_end);
    let seen = read(&server);
    assert!(server.stop().success());

    // The new key alone is not enough yet.
    let address = url(&server, &ground);
    let said = refused(server.home(), &address, &new);
    assert!(said.contains("is not among ENCRYPTION_KEYS"), "{said}");

    let both = format!("{new},{old}");
    server.set("ENCRYPTION_KEYS", &both);
    server.restart();
    let prefix = "\u{1}sealed:";
    let under = |server: &Server| {
        server.rows(&format!(
            "SELECT DISTINCT substr(title, 1, 17) FROM notifications WHERE title LIKE '{prefix}%'"
        ))
    };
    assert_eq!(under(&server), 1);
    let (clients, mut dice, mut killed) = (Clients::of(&server), Dice::of(11), 0);
    let back_end = clients.backend();
    let mut booked = 3_000;
    for _ in 0..8 {
        let mut rotation = rotation(&server, &ground, &both);
        sleep(dice.millis(20, 720));
        killed += usize::from(rotation.try_wait().expect("a child").is_none());
        rotation.kill().ok();
        rotation.wait().expect("a child");
        // The server serves meanwhile.
        booked += 1;
        let since = Instant::now();
        back_end.call("booking_notification", booking(booked, 9));
        assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
        assert_eq!(read(&server), seen);
    }
    assert!(killed > 0, "none was killed on its way");
    let (went_well, said) = rotate(&server, &ground, &both);
    assert!(went_well && said.contains("Nothing remains"), "{said}");
    assert_eq!(under(&server), 1);
    assert!(server.stop().success());

    server.set("ENCRYPTION_KEYS", &new);
    server.restart();
    assert_eq!(read(&server), seen);
    let list = PendingList(Clients::of(&server).facilitator(9).hear("pending_notifications"));
    assert_eq!(list.count(), booked, "none is lost");
    assert!(server.stop().success());
    assert_eq!(found(&words, &raw(&server, &ground)), Vec::<String>::new());
    // And the old key opens nothing any more.
    let said = refused(server.home(), &address, &old);
    assert!(said.contains("is not among ENCRYPTION_KEYS"), "{said}");
}

#[test]
fn nodes_change_their_keys_one_by_one() {
    if !on_postgres() {
        return;
    }
    let ground: Ground = Shared::fresh().into();
    let (old, new) = (key(), key());
    let mut nodes = [0, 1].map(|_| Server::on(&ground, &[("ENCRYPTION_KEYS", &old)]));
    let mut sent = Vec::new();
    for keys in [format!("{old},{new}"), format!("{new},{old}"), new.clone()] {
        if keys == new {
            let (went_well, said) = rotate(&nodes[0], &ground, &format!("{new},{old}"));
            assert!(went_well && said.contains("Nothing remains"), "{said}");
        }
        for index in [0, 1] {
            nodes[index].set("ENCRYPTION_KEYS", &keys);
            assert!(nodes[index].stop().success());
            nodes[index].restart();
            for (from, to) in [(0, 1), (1, 0)] {
                let title = format!("{} from {from}", sent.len());
                Rest::backend(&nodes[from]).send(&note(2, &title));
                sent.insert(0, title);
                assert_eq!(Rest::user(&nodes[to], 2).titles(), sent, "with {} keys", keys.split(',').count());
            }
        }
    }
}

#[test]
fn keys_are_given_by_file_and_bad_ones_are_explained() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("keys").display().to_string();
    let (old, new) = (key(), key());
    std::fs::write(&file, format!("{new}\n2025:{old}\n")).expect("a file");
    let ground = Ground::usual();
    let server = Server::on(&ground, &[("database.encryption_keys_file", &file), ("ENCRYPTION_KEYS", "")]);
    Rest::backend(&server).send(&note(2, "sealed"));
    assert_eq!(Rest::user(&server, 2).titles(), ["sealed"]);
    assert_eq!(server.rows("SELECT 1 FROM notifications WHERE title = 'sealed'"), 0);

    let wrong = [
        ("tooshort", "number 1 of ENCRYPTION_KEYS is no key: write 32 bytes in base64"),
        (&format!("{new},{new}"), "the same"),
        (&format!("{new},?:{old}"), "the id of number 2"),
    ];
    for (keys, why) in wrong {
        let said = refused(home.path(), "carillon.db", keys);
        assert!(said.contains(why) && !said.contains(&new[..20]) && !said.contains("tooshort"), "{said}");
    }
    let both = [("ENCRYPTION_KEYS", new.as_str()), ("CARILLON_DATABASE_ENCRYPTION_KEYS_FILE", &file)];
    let output = run_command_in(home.path(), &["serve", "--host", "127.0.0.1", "--port", "0"], &both);
    assert!(String::from_utf8_lossy(&output.stderr).contains("both set"), "{output:?}");
    let none = [("CARILLON_DATABASE_ENCRYPTION_KEYS_FILE", "/no/such/file")];
    let output = run_command_in(home.path(), &["serve", "--host", "127.0.0.1", "--port", "0"], &none);
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read /no/such/file"), "{output:?}");
    let output = run_command(&["config"], &[("ENCRYPTION_KEY", &new)]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("variable ENCRYPTION_KEY") && !said.contains(&new), "{said}");
    let output = run_command_in(home.path(), &["keys", "rotate"], &[("DATABASE_URL", "carillon.db")]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("there are no ENCRYPTION_KEYS"), "{output:?}");
}
