//! A disk without room: bookings are refused, not lost; readiness says so before anybody books, and comes back by
//! itself when there is room again.

use serde_json::json;

use crate::support::{Clients, PendingList, Rest, Server, SmallDisk, booking, eventually, note};

#[test]
fn nothing_is_answered_that_is_not_stored() {
    let Some(disk) = SmallDisk::mount() else {
        return eprintln!("not staged: mounting a small disk needs root");
    };
    let server = Server::in_home(disk.home(), &[]);
    let clients = Clients::of(&server);
    let backend = clients.backend();
    assert!(backend.call("booking_notification", booking(1, 2))["stored_at"].is_string());
    assert_eq!(server.get("/health/ready").status, 200);

    disk.fill();
    eventually("readiness tells of the full disk", || {
        let ready = server.get("/health/ready");
        (ready.status == 503 && ready.json()["status"] == "disk full").then_some(())
    });
    // The log may have room for a few more; what does not fit is refused.
    let mut large = booking(2, 2);
    large["user"]["name"] = json!("x".repeat(90_000));
    let refused = eventually("a booking does not fit", || {
        large["booking_id"] = json!(large["booking_id"].as_u64().expect("a number") + 1);
        let answer = backend.call("booking_notification", large.clone());
        answer["error"].is_string().then_some(answer)
    });
    assert_eq!(refused["error"], "Notification not stored");
    let last = refused["booking_id"].as_u64().expect("its number");
    // Each failure is told once in the log, by the door that told its sender.
    let told = |words: &str| server.log().iter().filter(|line| line.contains(words)).count();
    let bookings = || told("Error handling booking notification");
    eventually("it is told in the log", || (bookings() > 0).then_some(()));
    let mut note = note(2, "x");
    note["data"] = json!({"x": "x".repeat(60_000)});
    eventually("a note does not fit either", || {
        let answer = Rest::backend(&server).post("/api/v1/notifications", &note);
        (answer.status == 503).then_some(())
    });
    let requests = || told("a request could not be answered");
    eventually("that is told in the log", || (requests() > 0).then_some(()));
    assert_eq!((bookings(), requests()), (1, 1));

    disk.empty();
    eventually("readiness comes back by itself", || {
        (server.get("/health/ready").status == 200).then_some(())
    });
    assert!(backend.call("booking_notification", large)["stored_at"].is_string());
    let mut stored = PendingList(clients.facilitator(2).hear("pending_notifications")).booking_ids();
    stored.sort_unstable();
    let expected: Vec<u64> = [1].into_iter().chain(3..=last).collect();
    assert_eq!(stored, expected);
}
