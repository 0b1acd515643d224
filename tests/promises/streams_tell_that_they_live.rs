//! A stream of events says something every 15 seconds, so that no proxy takes it for dead, and ends with its token.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Events, Rest, Server, eventually, in_seconds, note, sign, user_token};

#[test]
fn a_comment_comes_where_nothing_else_does() {
    let server = Server::start();
    let mut events = Events::open(&server, &user_token(2), "");
    let opened = Instant::now();
    let comment = std::iter::from_fn(|| events.line()).find(|line| line.starts_with(':'));
    assert_eq!(comment.as_deref(), Some(":"));
    let waited = opened.elapsed();
    assert!(waited > Duration::from_secs(14), "it came after {waited:?}");
    Rest::backend(&server).send(&note(2, "still there"));
    assert_eq!(events.next().1["title"], "still there");
}

#[test]
fn it_ends_with_its_token() {
    let server = Server::with(&[("auth.jwt_leeway_seconds", "0")]);
    let end = in_seconds(6);
    let mut events = Events::open(&server, &sign(&json!({"sub": "2", "exp": end})), "");
    let sent = Rest::backend(&server).send(&note(2, "while it lasts"));
    assert_eq!(events.next().0, sent["id"].to_string());
    // The end of the answer, as HTTP has it: no line that broke.
    let rest: Vec<String> = std::iter::from_fn(|| events.line()).take_while(|line| line != "0").collect();
    assert!(in_seconds(0) >= end, "it ended early");
    assert!(rest.iter().all(|line| !line.starts_with("data")), "{rest:?}");
    // (A token is good to the end of its last second.)
    let late = Rest::by(&server, &sign(&json!({"sub": "2", "exp": end})));
    let code = || Some(late.get("/api/v1/stream")).filter(|reply| reply.status == 401);
    assert_eq!(eventually("it is refused", code).json()["code"], "token_expired");
}
