//! Whoever follows the link in an e-mail is asked once, and then gets none of that kind any more; so does whoever's mail
//! program posts it (RFC 8058). Nobody logs in, nobody else's choices change, and a link that is not ours does nothing.

use serde_json::{Value, json};

use crate::support::hooks::admin;
use crate::support::{Rest, Server, SinkFile, call, eventually};

const PREFERENCES: &str = "/api/v1/notifications/preferences";

#[test]
fn one_click_ends_e_mails_of_a_kind() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let must = ("CARILLON_NOTIFICATIONS_MANDATORY_TYPES", "fire");
    let server = Server::with(&[(name, &path), ("PUBLIC_URL", "https://notify.example.com"), must]);
    let backend = Rest::backend(&server);
    let send = |user: u64, kind: &str, title: &str| {
        backend.send(&json!({
            "user_id": user, "type": kind, "title": title, "message": "<b>Hello</b>", "channels": ["in_app", "email"],
        }))
    };
    for user in [2, 3] {
        let contacts = json!({"email": format!("user{user}@example.com")});
        backend.put(&format!("/api/v1/recipients/{user}"), &contacts).expect(200);
    }
    Rest::user(&server, 2).put(PREFERENCES, &json!({"types": {"news": {"push": false}}})).expect(200);
    for (user, kind) in [(2, "news"), (3, "news"), (2, "fire")] {
        send(user, kind, "First");
    }
    let mails = eventually("they go out", || Some(sink.by("email")).filter(|mails| mails.len() == 3));
    let of = |user: u64, kind: &str| -> Value {
        let is_it = |mail: &&Value| mail["to"] == format!("user{user}@example.com") && mail["type"] == kind;
        mails.iter().find(is_it).expect("a mail")["unsubscribe"].clone()
    };
    assert_eq!(of(2, "fire"), Value::Null, "what nobody can mute has no such link");
    let link = of(2, "news");
    let path =
        link.as_str().expect("a link").strip_prefix("https://notify.example.com").expect("our address");
    let html = mails.iter().find(|mail| mail["unsubscribe"] == link).expect("it")["html"]
        .as_str()
        .expect("a page")
        .to_owned();
    assert!(html.contains(path), "people can follow it, too");

    // Looking changes nothing.
    let asked = call(server.address, "GET", path, &[], None);
    assert_eq!(asked.status, 200);
    assert!(asked.body.contains("<form method=\"post\">") && asked.body.contains("news"), "{asked:?}");
    let types = |user: u64| Rest::user(&server, user).get(PREFERENCES).expect(200)["types"].clone();
    assert_eq!(types(2)["news"]["email"], true);

    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    for _ in 0..2 {
        let done = call(server.address, "POST", path, &form, Some("List-Unsubscribe=One-Click"));
        assert_eq!(done.status, 200, "{done:?}");
    }
    assert_eq!((&types(2)["news"]["email"], &types(2)["news"]["push"]), (&json!(false), &json!(false)));
    assert_eq!(types(3), json!({}), "nobody else's choices change");
    send(2, "news", "Second");
    send(3, "news", "Second");
    eventually("the other one hears", || (sink.by("email").len() == 4).then_some(()));
    assert_eq!(sink.by("email")[3]["to"], "user3@example.com");
    assert_eq!(Rest::user(&server, 2).titles().len(), 3, "what is seen elsewhere stays");

    let foreign = of(3, "news");
    let foreign = foreign.as_str().and_then(|link| link.rsplit('.').next()).expect("a signature");
    let (claim, _) = path.split_once('.').expect("a claim");
    for bad in ["/unsubscribe/x", "/unsubscribe/x.y", &format!("{claim}.{foreign}"), &format!("{path}x")] {
        for method in ["GET", "POST"] {
            assert_eq!(call(server.address, method, bad, &form, None).status, 404, "{method} {bad}");
        }
    }
}

/// Who was forgotten and follows an older link is heeded, and nothing is kept of them but a digest.
#[test]
fn an_older_link_makes_nobody_known_again() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let server = Server::with(&[(name, &path), ("PUBLIC_URL", "https://notify.example.com")]);
    let (backend, boss) = (Rest::backend(&server), admin(&server));
    let send = |kind: &str| {
        backend.put("/api/v1/recipients/2", &json!({"email": "user2@example.com"})).expect(200);
        backend.send(&json!({"user_id": 2, "type": kind, "title": "x", "channels": ["in_app", "email"]}))
    };
    send("news");
    let mail = eventually("it goes out", || sink.by("email").first().cloned());
    let link = mail["unsubscribe"].as_str().expect("a link");
    let path = link.strip_prefix("https://notify.example.com").expect("our address");
    boss.delete("/api/v1/recipients/2/data").expect(200);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    for _ in 0..2 {
        let done = call(server.address, "POST", path, &form, Some("List-Unsubscribe=One-Click"));
        assert_eq!(done.status, 200, "{done:?}");
    }
    assert_eq!(call(server.address, "GET", path, &[], None).status, 200);
    for table in
        ["recipients WHERE user_id = '2'", "consents", "audit_log WHERE actor = '2' OR subject = '2'"]
    {
        assert_eq!(server.rows(&format!("SELECT 1 FROM {table}")), 0, "{table}");
    }
    assert_eq!(server.rows("SELECT 1 FROM declined"), 1);
    send("news");
    let heeded = "SELECT 1 FROM deliveries WHERE reason LIKE 'unsubscribed%'";
    eventually("it is heeded", || (server.rows(heeded) == 1).then_some(()));
    send("other");
    eventually("other types come", || (sink.by("email").len() == 2).then_some(()));
    // Who agrees anew gets it again.
    backend.put("/api/v1/recipients/2/consent", &json!({"email": true})).expect(200);
    send("news");
    eventually("it comes again", || (sink.by("email").len() == 3).then_some(()));
}
