//! A feed socket that comes back hears by itself what it missed, oldest first; live notifications wait behind it: each
//! once, in order. Asked for since a time or a notification, it begins there.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{
    Agent, Clients, Cluster, Connect, Kind, Library, Rest, Server, Socket, eventually, note, user_token,
};

fn titles(socket: &Socket) -> Vec<String> {
    let told = socket.heard("notification");
    told.iter().map(|one| one["title"].as_str().expect("a title").to_owned()).collect()
}

fn numbered(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

/// Sends notifications that are titled by their numbers.
fn send(sender: &Rest, user: u64, numbers: impl IntoIterator<Item = usize>) -> Vec<Value> {
    numbers.into_iter().map(|number| sender.send(&note(user, &number.to_string()))).collect()
}

fn wait_for(socket: &Socket, expected: &[String]) {
    let hope = format!("{} hears {} notifications", socket.name, expected.len());
    eventually(&hope, || (titles(socket).len() >= expected.len()).then_some(()));
    assert_eq!(titles(socket), expected, "{}", socket.name);
}

/// A feed socket that asks in its connect handler for what it missed.
fn asking(clients: &Clients, id: u64, payload: &Value) -> Socket {
    let hello = json!(["requestMissedNotifications", payload]);
    let options = json!({"auth": {"token": user_token(id)}});
    let socket = clients.open_with(Kind::WEBSOCKET, &[hello], options);
    socket.next_change("connected");
    socket
}

#[test]
fn it_comes_by_itself_and_live_ones_wait_behind_it() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = Rest::backend(&server);
    for (id, kind) in (2..).zip(Kind::all()) {
        send(&backend, id, 1..=20);
        let socket = clients.feed_by(kind, &user_token(id));
        // At once: before what was missed has come.
        for answer in send(&backend, id, 21..=40) {
            assert!(answer["sent_at"].is_string(), "somebody is there: {answer}");
        }
        let all = numbered(1..=40);
        let hope = format!("{kind:?} hears all");
        eventually(&hope, || (titles(&socket).len() >= all.len()).then_some(()));
        let mut heard = titles(&socket);
        if kind.library == Library::Python {
            // Its handlers run side by side; see `agent.py`.
            heard.sort_by_key(|title| title.parse::<usize>().expect("a number"));
        }
        assert_eq!(heard, all, "{kind:?}");
        socket.disconnect();
    }
}

#[test]
fn whoever_asks_first_gets_it_once() {
    const DELAY: Duration = Duration::from_secs(3);
    let server = Server::with(&[("booking.pending_delay_ms", &DELAY.as_millis().to_string())]);
    let clients = Clients::of(&server);
    let backend = Rest::backend(&server);
    let mut people = 2..;
    let (person, socket) = eventually("somebody asks before it comes by itself", || {
        let person = people.next()?;
        send(&backend, person, 1..=5);
        let start = Instant::now();
        let socket = clients.feed(person);
        let answer = socket.call("requestMissedNotifications", json!({}));
        if start.elapsed() >= DELAY {
            return None;
        }
        assert_eq!(answer, json!({"count": 5}));
        Some((person, socket))
    });
    thread::sleep(DELAY + Duration::from_secs(1));
    wait_for(&socket, &numbered(1..=5));
    // Asked again, it comes again: nobody has confirmed it yet.
    assert_eq!(socket.call("requestMissedNotifications", json!({"since": null})), json!({"count": 5}));
    assert_eq!(titles(&socket), numbered((1..=5).chain(1..=5)));
    send(&backend, person, [6]);
    wait_for(&socket, &numbered((1..=5).chain(1..=6)));
}

/// What came live while this tab waited was read in another one: it is this tab's all the same.
#[test]
fn what_waited_comes_though_another_tab_has_read_it() {
    let server = Server::with(&[("booking.pending_delay_ms", "2000")]);
    let clients = Clients::of(&server);
    let backend = Rest::backend(&server);
    let first = clients.feed(2);
    first.call("requestMissedNotifications", json!({}));
    send(&backend, 2, [1]);
    wait_for(&first, &numbered([1]));
    first.call("read", json!({"notificationId": first.hear("notification")["id"]}));
    let second = clients.feed(2);
    send(&backend, 2, [2, 3]);
    wait_for(&first, &numbered(1..=3));
    first.call("read", json!({"notificationId": first.hear("notification")["id"]}));
    wait_for(&second, &numbered([2, 3]));
}

#[test]
fn since_a_notification_or_a_time_it_begins_there() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = Rest::backend(&server);
    let sent = send(&backend, 2, 1..=6);
    let first = clients.feed(2);
    wait_for(&first, &numbered(1..=6));
    let told = first.heard("notification");
    // All were read elsewhere, so only those who ask get them.
    for one in &told {
        first.call("read", json!({"notificationId": one["id"]}));
    }
    for since in [told[2]["id"].clone(), told[2]["number"].clone(), json!(told[2]["number"].to_string())] {
        let again = asking(&clients, 2, &json!({"since": since}));
        wait_for(&again, &numbered(4..=6));
        again.disconnect();
    }
    let again = asking(&clients, 2, &json!({"since": told[3]["timestamp"]}));
    eventually("all since that time come", || (titles(&again).last()? == "6").then_some(()));
    let heard = titles(&again);
    assert!(heard.contains(&"4".to_owned()) && !heard.contains(&"1".to_owned()), "{heard:?}");
    assert_eq!(asking(&clients, 2, &json!({"since": "2999-01-01T00:00:00Z"})).heard("notification").len(), 0);
    assert_eq!(sent.len(), 6);
}

#[test]
fn an_unknown_notification_is_an_error_and_what_was_missed_comes_all_the_same() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = Rest::backend(&server);
    send(&backend, 2, 1..=3);
    let foreign = backend.send(&note(3, "somebody else's"));
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let sinces = [foreign["id"].clone(), foreign["uuid"].clone(), json!(987_654), json!(unknown), json!(-1)];
    let mut answers: Vec<Value> = Vec::new();
    for since in sinces.into_iter().filter(|since| !since.is_null()) {
        let socket = clients.feed(2);
        let answer = socket.call("requestMissedNotifications", json!({"since": since}));
        assert_eq!(answer["error"], "Notification not found", "{since}");
        assert!(answer["detail"].as_str().is_some_and(|said| said.contains("RFC 3339")), "{answer}");
        assert_eq!(socket.hear("error"), answer);
        answers.push(answer);
        wait_for(&socket, &numbered(1..=3));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    let socket = clients.feed(2);
    for wrong in [json!({"since": "yesterday"}), json!({"since": [1]}), json!("text"), json!([])] {
        let answer = socket.call("requestMissedNotifications", wrong.clone());
        assert!(
            answer["error"].as_str().is_some_and(|error| error.starts_with("Invalid")),
            "{wrong}: {answer}"
        );
    }
    wait_for(&socket, &numbered(1..=3));
}

#[test]
fn it_goes_no_faster_than_the_client_reads() {
    let server = Server::with(&[("realtime.send_buffer", "32")]);
    let clients = Clients::of(&server);
    let backend = Rest::backend(&server);
    let mut long = note(2, "0");
    long["message"] = "x".repeat(2_000).into();
    for number in 1..=400 {
        long["title"] = number.to_string().into();
        backend.send(&long);
    }
    for kind in [Kind::WEBSOCKET, Kind::POLLING, Kind::USUAL] {
        let socket = clients.feed_by(kind, &user_token(2));
        backend.send(&{
            long["title"] = format!("{kind:?}").into();
            long.clone()
        });
        eventually("the live one has come", || {
            (titles(&socket).last()? == &format!("{kind:?}")).then_some(())
        });
        assert_eq!(titles(&socket)[..400], numbered(1..=400), "{kind:?}");
        assert_eq!(socket.changes("disconnected"), 0, "{kind:?}");
        socket.disconnect();
    }
}

/// A heartbeat round of a few seconds.
const SHORT: [(&str, &str); 4] = [
    ("realtime.ping_interval_ms", "500"),
    ("realtime.ping_timeout_ms", "4000"),
    ("realtime.tcp_user_timeout_ms", "2000"),
    ("realtime.confirm_margin_ms", "300"),
];

#[test]
fn what_a_dead_socket_was_handed_comes_again_and_a_living_ones_is_confirmed() {
    let server = Server::with(&SHORT);
    let clients = Clients::of(&server);
    let backend = Rest::backend(&server);
    send(&backend, 2, 1..=3);
    let agent = Agent::node();
    let doomed = Socket::open(
        &agent,
        &Connect {
            name: "doomed".to_owned(),
            url: server.url(),
            kind: Kind::WEBSOCKET,
            hello: Vec::new(),
            options: json!({"auth": {"token": user_token(2)}}),
        },
    );
    wait_for(&doomed, &numbered(1..=3));
    agent.signal(Signal::SIGKILL);
    let returned = clients.feed(2);
    wait_for(&returned, &numbered(1..=3));
    // It lives on for a round: a client that never says `ack` has confirmed it.
    server.wait_for_stat("pending_notifications", 0);
    let third = clients.feed(2);
    assert_eq!(third.call("requestMissedNotifications", json!({})), json!({"count": 0}));
}

#[test]
fn a_stock_client_that_loses_its_line_misses_nothing() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = Rest::backend(&server);
    let socket = clients.feed(2);
    let mut expected = Vec::new();
    for round in 0..5 {
        send(&backend, 2, [round * 2]);
        socket.cut();
        send(&backend, 2, [round * 2 + 1]);
        expected.extend([round * 2, round * 2 + 1]);
    }
    let heard_all = || {
        let heard = titles(&socket);
        expected.iter().all(|number| heard.contains(&number.to_string())).then_some(())
    };
    eventually("all have come", heard_all);
}

#[test]
fn whoever_comes_in_the_middle_of_a_burst_hears_all_in_order() {
    const COUNT: usize = 100;
    let Some(cluster) = Cluster::start(2) else { return };
    let there = Clients::of(cluster.node(1));
    for person in 2..=9 {
        let senders = [0, 1].map(|side| {
            let sender = Rest::backend(cluster.node(side));
            let first = side * COUNT;
            thread::spawn(move || send(&sender, person, first..first + COUNT))
        });
        thread::sleep(Duration::from_millis(20 * person));
        let socket = there.feed_by(Kind::WEBSOCKET, &user_token(person));
        senders.into_iter().for_each(|sender| drop(sender.join().expect("a sender")));
        let hope = format!("all arrive at person {person}");
        eventually(&hope, || (titles(&socket).len() >= 2 * COUNT).then_some(()));
        let heard: Vec<usize> =
            titles(&socket).iter().map(|title| title.parse().expect("a number")).collect();
        let (first, second): (Vec<usize>, Vec<usize>) = heard.iter().partition(|number| **number < COUNT);
        assert_eq!(first, (0..COUNT).collect::<Vec<_>>(), "lost, doubled or out of order");
        assert_eq!(second, (COUNT..2 * COUNT).collect::<Vec<_>>(), "lost, doubled or out of order");
        socket.disconnect();
    }
}
