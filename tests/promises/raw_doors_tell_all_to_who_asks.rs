//! Raw WebSockets and streams tell whoever asks for it (`events=all`) what happens to notifications elsewhere, and when all that
//! was missed has come. Whoever does not ask hears notifications only, as the seeds' clients know it.

use serde_json::{Value, json};

use crate::support::{Clients, Cluster, Events, Library, Rest, Server, Socket, eventually, note, user_token};

const DOORS: [&str; 2] = ["/ws/notify", "/api/v1/notifications/ws"];
const STATUS: &str = "notification_status";
const COMPLETE: &str = "replay_complete";

/// Nothing is confirmed by pongs while a test lasts.
fn unconfirming() -> Server {
    Server::with(&[("websocket.confirm_ms", "600000"), ("websocket.heartbeat_ms", "600000")])
}

fn open(clients: &Clients, library: Library, door: &str, user: u64, more: &str) -> Socket {
    let page = clients.raw(library, &format!("{door}?token={}{more}", user_token(user)));
    page.next_change("connected");
    page
}

/// Those that ask, by each door and library, when all that they missed has come.
fn asking(clients: &Clients, user: u64) -> Vec<Socket> {
    let both = DOORS.into_iter().flat_map(|door| Library::RAW.map(|library| (door, library)));
    let pages = both.map(|(door, library)| open(clients, library, door, user, "&events=all"));
    pages.inspect(|page| drop(page.hear(COMPLETE))).collect()
}

#[track_caller]
fn told(page: &Socket, expected: &Value) {
    let mut heard = page.hear(STATUS);
    assert!(heard["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{heard}");
    for odd in ["id", "replay_id"] {
        assert_eq!(heard.get(odd), None, "clients would take it for the place where they go on: {heard}");
    }
    let heard = heard.as_object_mut().expect("an object");
    heard.retain(|name, _| name != "timestamp" && name != "type");
    assert_eq!(json!(heard), *expected);
}

#[test]
fn what_is_done_elsewhere_is_told() {
    let server = unconfirming();
    let (clients, backend, two) = (Clients::of(&server), Rest::backend(&server), Rest::user(&server, 2));
    let pages = asking(&clients, 2);
    let quiet = DOORS.map(|door| open(&clients, Library::Ws, door, 2, "&events=some"));
    let feed = clients.feed(2);
    let mut stream = Events::open_at(&server, "/api/v1/stream?events=all", &user_token(2), "");
    assert_eq!(stream.next().1["type"], COMPLETE);
    let all_hear = |status: &str, of: Option<&Value>, stream: &mut Events| {
        let (id, number) = (of.map(|sent| &sent["uuid"]), of.map(|sent| &sent["id"]));
        let expected = json!({"notification_id": id, "number": number, "status": status});
        pages.iter().for_each(|page| told(page, &expected));
        let (id, event) = loop {
            let (id, event) = stream.next();
            if event["type"] == STATUS {
                break (id, event);
            }
        };
        assert_eq!(
            (id.as_str(), &event["status"], &event["number"]),
            ("", &json!(status), &expected["number"])
        );
    };
    let sent: Vec<_> = (0..4).map(|number| backend.send(&note(2, &format!("{number}")))).collect();
    let one = |number: usize| format!("/api/v1/notifications/{}", sent[number]["id"]);
    two.post(&format!("{}/read", one(0)), &json!({})).expect(200);
    all_hear("read", Some(&sent[0]), &mut stream);
    feed.call("ack", json!({"notificationId": sent[1]["id"]}));
    all_hear("delivered", Some(&sent[1]), &mut stream);
    // Whoever says it hears it, too; and said once more it is no news.
    pages[0].emit("mark_read", json!({"notification_id": sent[1]["uuid"]}));
    all_hear("read", Some(&sent[1]), &mut stream);
    pages[0].emit("mark_read", json!({"notification_id": sent[1]["uuid"]}));
    pages[0].hear_many("read_confirmation", 2);
    two.put(&one(1), &json!({"is_read": false})).expect(200);
    all_hear("delivered", Some(&sent[1]), &mut stream);
    two.delete(&one(2)).expect(200);
    all_hear("deleted", Some(&sent[2]), &mut stream);
    two.post("/api/v1/notifications/read-all", &json!({})).expect(200);
    all_hear("read", None, &mut stream);

    for page in &quiet {
        let kinds: Vec<_> = page.heard_of_all().into_iter().map(|(kind, _)| kind).collect();
        assert!(kinds.iter().all(|kind| kind == "notification" || kind == "note"), "{kinds:?}");
    }
    // Another person hears nothing of it.
    let other = open(&clients, Library::Ws, DOORS[0], 3, "&events=all");
    other.hear(COMPLETE);
    two.delete(&one(3)).expect(200);
    all_hear("deleted", Some(&sent[3]), &mut stream);
    assert_eq!(other.heard_of_all().len(), 1);
}

#[test]
fn a_sender_hears_what_became_of_it() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let page = open(&clients, Library::Ws, DOORS[0], 2, "&events=all");
    let teacher = Rest::claiming(&server, json!({"sub": "2", "role": "admin"}));
    let sent = teacher.send(&note(3, "to a pupil"));
    Rest::user(&server, 3)
        .post(&format!("/api/v1/notifications/{}/read", sent["id"]), &json!({}))
        .expect(200);
    let (id, number) = (&sent["uuid"], &sent["id"]);
    told(&page, &json!({"notification_id": id, "number": number, "status": "read", "user_id": "3"}));
}

#[test]
fn the_end_of_what_was_missed_is_told() {
    let server = unconfirming();
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    let sent: Vec<_> = (0..100).map(|number| backend.send(&note(2, &format!("{number}")))).collect();
    for (door, library) in DOORS.into_iter().flat_map(|door| Library::RAW.map(|library| (door, library))) {
        for (from, count) in [(String::new(), 100), (format!("&replay_from={}", sent[97]["id"]), 2)] {
            let page = open(&clients, library, door, 2, &format!("&events=all{from}"));
            assert_eq!(page.hear(COMPLETE), json!({"type": COMPLETE, "count": count}), "{door} {from}");
            let heard = page.heard_in_order();
            assert_eq!((heard.len(), heard.last().expect("one").0.as_str()), (count + 1, COMPLETE));
            page.disconnect();
        }
        let nowhere = open(&clients, library, door, 2, "&events=all&replay_from=999999");
        nowhere.hear(COMPLETE);
        let names: Vec<_> = nowhere.heard_in_order().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            (names.len(), names[0].as_str(), names[101].as_str()),
            (102, "replay_truncated", COMPLETE)
        );
        nowhere.disconnect();
    }
    let last = sent[97]["id"].to_string();
    let mut stream = Events::open_at(&server, "/api/v1/stream?events=all", &user_token(2), &last);
    let told: Vec<_> = (0..3).map(|_| stream.next().1["type"].clone()).collect();
    assert_eq!(told, ["note", "note", COMPLETE]);
}

/// While notifications flow, what stands before the mark was missed, and what stands behind it came live: none is on both sides,
/// and none is missing between.
#[test]
fn the_end_is_told_before_what_comes_live() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let writer = Rest::backend(&server);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut many = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                writer.send(&note(2, &format!("{many}")));
                many += 1;
            }
            many
        });
        let pages: Vec<_> = (0..8)
            .map(|_| {
                let page = open(&clients, Library::Ws, DOORS[0], 2, "&events=all&replay_from=0");
                page.hear(COMPLETE);
                page
            })
            .collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        let many = sending.join().expect("all is sent");
        for page in pages {
            eventually("all has come", || (page.heard("notification").len() == many).then_some(()));
            let heard = page.heard_in_order();
            let mark = heard.iter().position(|(name, _)| name == COMPLETE).expect("the mark");
            assert_eq!(heard[mark].1["count"], mark);
            let titles: Vec<_> =
                heard.iter().filter_map(|(_, one)| one["title"].as_str()).map(str::to_owned).collect();
            assert_eq!(titles, (0..many).map(|number| number.to_string()).collect::<Vec<_>>());
        }
    });
}

#[test]
fn what_is_done_on_another_node_is_told() {
    let Some(cluster) = Cluster::start(2) else { return };
    let (here, there) = (cluster.node(0), cluster.node(1));
    let clients = Clients::of(here);
    let page = open(&clients, Library::Ws, DOORS[0], 2, "&events=all");
    page.hear(COMPLETE);
    let sent = Rest::backend(there).send(&note(2, "x"));
    page.hear("notification");
    Rest::user(there, 2).delete(&format!("/api/v1/notifications/{}", sent["id"])).expect(200);
    told(&page, &json!({"notification_id": sent["uuid"], "number": sent["id"], "status": "deleted"}));
}
