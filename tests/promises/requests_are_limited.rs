//! A person may make so many requests a minute, on all nodes together, whatever headers or tokens they send; and so
//! may a tenant. Who makes more is told when to come again, and harms nobody else. Without Redis each node counts.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{
    Cluster, Redis, RedisCluster, Reply, Rest, Server, Shared, call, eventually, in_seconds, note,
    on_postgres, sign, sign_with,
};

const COUNT: &str = "/api/v1/notifications/unread-count";

fn number(reply: &Reply, header: &str) -> u64 {
    let value = reply.header(header).unwrap_or_else(|| panic!("no {header}: {reply:?}"));
    value.parse().unwrap_or_else(|_| panic!("{header} is no number: {reply:?}"))
}

/// How many of these requests are taken; the others must be refused as they should.
fn taken(replies: impl Iterator<Item = Reply>) -> usize {
    let is_taken = |reply: &Reply| match reply.status {
        200 | 201 => true,
        _ => {
            assert_eq!(reply.expect(429)["code"], "too_many_requests");
            false
        }
    };
    replies.filter(is_taken).count()
}

fn of_tenant(server: &Server, user: &str, tenant: &str) -> Rest {
    Rest::claiming(server, json!({"sub": user, "tenant_id": tenant}))
}

/// One server that counts for itself: a Redis that answers late would leave some uncounted.
fn alone(settings: &[(&str, &str)]) -> Server {
    Server::with(&[settings, &[("redis.url", "")]].concat())
}

/// How many come back in this time, if one does every so many seconds. (One more may have been on its way.)
fn come_back(start: Instant, every: u64) -> u64 {
    start.elapsed().as_secs() / every + 1
}

#[test]
fn who_asks_too_often_is_told_when_to_come_again() {
    let server = alone(&[("limits.user_per_minute", "30")]);
    let (two, three) = (Rest::user(&server, 2), Rest::user(&server, 3));
    let start = Instant::now();
    for left in (0..30).rev() {
        let reply = two.get(COUNT);
        reply.expect(200);
        let told = ["ratelimit-limit", "ratelimit-remaining"].map(|header| number(&reply, header));
        assert!(told[0] == 30 && (left..=left + come_back(start, 2)).contains(&told[1]), "{left}: {reply:?}");
        assert!((1..=60).contains(&number(&reply, "ratelimit-reset")), "{reply:?}");
    }
    let refused = eventually("it is too much", || Some(two.get(COUNT)).filter(|reply| reply.status == 429));
    let problem = refused.expect(429);
    assert_eq!(
        (&problem["code"], &problem["error"]),
        (&json!("too_many_requests"), &json!("Too many requests"))
    );
    assert_eq!((number(&refused, "ratelimit-limit"), number(&refused, "ratelimit-remaining")), (30, 0));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert!((1..=2).contains(&number(&refused, "retry-after")), "{refused:?}");
    // Nothing is done for who is refused.
    let mut kept = Vec::new();
    let wait = eventually("a notification is too much", || {
        let title = kept.len().to_string();
        let sent = two.post("/api/v1/notifications", &json!({"type": "note", "title": title}));
        if sent.status == 429 {
            return Some(number(&sent, "retry-after"));
        }
        sent.expect(201);
        kept.insert(0, title);
        None
    });
    sleep(Duration::from_secs(wait));
    assert_eq!(two.titles(), kept, "after that time it is taken");

    assert_eq!(number(&three.get(COUNT), "ratelimit-remaining"), 29, "another person's are their own");
    let backend = Rest::backend(&server);
    for round in 0..100 {
        let sent = backend.post("/api/v1/notifications", &note(3, &round.to_string()));
        sent.expect(201);
        assert_eq!(sent.header("ratelimit-limit"), None, "services are not limited");
    }
}

#[test]
fn neither_doors_nor_headers_nor_new_tokens_help() {
    let server = alone(&[("limits.user_per_minute", "6"), ("server.trusted_proxies", "127.0.0.1")]);
    let ways: [&dyn Fn(u32) -> Reply; 5] = [
        &|_| Rest::user(&server, 2).get("/api/notifications"),
        &|_| Rest::user(&server, 2).post("/api/v1/notifications", &json!({"type": "note", "title": "x"})),
        &|_| Rest::user(&server, 2).get("/api/v1/notifications/"),
        &|round| {
            let claims = json!({"user_id": 2, "exp": in_seconds(600 + i64::from(round)), "jti": round});
            Rest::by(&server, &sign(&claims)).get(COUNT)
        },
        &|round| {
            let bearer = format!("Bearer {}", sign(&json!({"sub": "2", "exp": in_seconds(600)})));
            let from = format!("203.0.113.{round}");
            call(
                server.address,
                "GET",
                COUNT,
                &[("Authorization", &bearer), ("X-Forwarded-For", &from)],
                None,
            )
        },
    ];
    let start = Instant::now();
    let all = (0..4).flat_map(|round| ways.iter().map(move |way| way(round)));
    let taken = taken(all);
    let most = 6 + come_back(start, 10) as usize;
    assert!((6..=most).contains(&taken), "{taken} were taken");

    // Who shows no good token is not counted, and nobody's count is told to them.
    let forged = sign_with(
        &json!({"sub": "2", "exp": in_seconds(60)}),
        "another secret",
        jsonwebtoken::Algorithm::HS256,
    );
    let refused = Rest::by(&server, &forged).get(COUNT);
    assert_eq!((refused.status, refused.header("ratelimit-limit")), (401, None));
    assert_eq!(server.get("/health").header("ratelimit-limit"), None);
}

#[test]
fn services_and_tenants_may_be_limited_too() {
    let server = alone(&[
        ("limits.user_per_minute", "6"),
        ("limits.service_per_minute", "12"),
        ("limits.tenant_per_minute", "20"),
    ]);
    let service = |name: &str, tenant: &str| {
        let claims =
            json!({"sub": name, "tenant_id": tenant, "scope": "notifications:send notifications:broadcast"});
        Rest::claiming(&server, claims)
    };
    let send = |who: &Rest| {
        let message = json!({"user_ids": [2], "type": "note", "title": "x"});
        who.post("/internal/broadcast", &message)
    };
    let start = Instant::now();
    let (shop, school) = (service("shop", "acme"), service("school", "acme"));
    let first = send(&shop);
    assert_eq!((number(&first, "ratelimit-limit"), number(&first, "ratelimit-remaining")), (12, 11));
    let of_shop = 1 + taken((0..20).map(|_| send(&shop)));
    assert!((12..=12 + come_back(start, 5) as usize).contains(&of_shop), "{of_shop}");
    // Eight are left to the tenant.
    let of_school = taken((0..20).map(|_| send(&school)));
    let both = of_shop + of_school;
    let most = 20 + come_back(start, 3) as usize;
    assert!((20..=most).contains(&both), "{of_shop} and {of_school}");
    // Somebody who has made none: it is the tenant's that are used up. (One may just have come back.)
    let mut people = 2..;
    let refused = eventually("the tenant's are used up", || {
        let reply = of_tenant(&server, &people.next()?.to_string(), "acme").get(COUNT);
        Some(reply).filter(|reply| reply.status == 429)
    });
    assert_eq!(number(&refused, "ratelimit-limit"), 20, "{refused:?}");
    // Another tenant's are its own.
    assert_eq!(send(&service("shop", "other")).status, 200);
    assert_eq!(of_tenant(&server, "2", "other").get(COUNT).status, 200);
}

/// Whether the nodes count what this tenant's people ask of them in turn as one would: to the last request. It is no
/// fault when they do not at once: a Redis that answers late is passed over, and after six seconds one comes back.
fn count_as_one(nodes: &[Server], tenant: &str) -> Option<()> {
    // Of six a person, and nine a tenant: the status, which limit is told, and how many are left of it.
    let of_two = (0..6).rev().map(|left| (200, 6, left)).chain([(429, 6, 0); 2]).map(|told| ("2", told));
    let of_three = (0..3).rev().map(|left| (200, 9, left)).chain([(429, 9, 0); 2]).map(|told| ("3", told));
    for (round, (user, expected)) in of_two.chain(of_three).enumerate() {
        let reply = of_tenant(&nodes[round % nodes.len()], user, tenant).get(COUNT);
        let told = (reply.status, number(&reply, "ratelimit-limit"), number(&reply, "ratelimit-remaining"));
        if told != expected {
            println!("{tenant}, request {round}: {told:?}, and not {expected:?}");
            return None;
        }
    }
    Some(())
}

#[test]
fn nodes_count_together() {
    if !on_postgres() {
        return;
    }
    let cluster = RedisCluster::start();
    for url in [Redis::shared().url(), cluster.url()] {
        let settings = [("limits.user_per_minute", "6"), ("limits.tenant_per_minute", "9")];
        let nodes = Cluster::on(&Shared::fresh().with_redis(&url).into(), 2, &settings);
        let mut strangers = 1..;
        eventually(&format!("they count together at {url}"), || {
            count_as_one(nodes.nodes(), &format!("tenant {}", strangers.next()?))
        });
    }
}

/// What thirty requests may take on a busy machine. Who waited two seconds for Redis each time would take twice as long.
const LONGEST: Duration = Duration::from_secs(30);

#[test]
fn without_redis_each_node_counts_and_nobody_waits() {
    if !on_postgres() {
        return;
    }
    let mut redis = Redis::private();
    let ground = Shared::fresh().with_redis(&redis.url()).into();
    let nodes = Cluster::on(&ground, 2, &[("limits.user_per_minute", "12")]);
    let nodes = nodes.nodes();
    for round in 0..2_u64 {
        match round {
            0 => redis.kill(),
            _ => redis.stop(),
        }
        for (person, node) in [(2, 0), (3, 1)] {
            let start = Instant::now();
            let who = Rest::user(&nodes[node], 10 * round + person);
            let replies: Vec<Reply> = (0..30).map(|_| who.get(COUNT)).collect();
            let time = start.elapsed();
            let taken = taken(replies.into_iter());
            let most = 12 + come_back(start, 5) as usize;
            assert!((12..=most).contains(&taken), "{taken} were taken in {time:?}");
            // Each of them waits for Redis no longer than for the machine.
            assert!(time < LONGEST, "30 requests took {time:?}");
        }
        match round {
            0 => redis.start(),
            _ => redis.go_on(),
        }
        let person = std::cell::Cell::new(100 * (round + 1));
        eventually("they count together again", || {
            person.set(person.get() + 1);
            let [here, there] = [0, 1].map(|node| Rest::user(&nodes[node], person.get()).get(COUNT));
            let left = [here, there].map(|reply| number(&reply, "ratelimit-remaining"));
            (left == [11, 10]).then_some(())
        });
    }
}

#[test]
fn limits_may_be_off() {
    let server = alone(&[("limits.user_per_minute", "0")]);
    let two = Rest::user(&server, 2);
    for _ in 0..700 {
        let reply = two.get(COUNT);
        assert_eq!((reply.expect(200), reply.header("ratelimit-limit")), (json!({"unread_count": 0}), None));
    }
    // What `docs/carillon.example.toml` has as the default.
    let usual = alone(&[("limits.user_per_minute", "600")]);
    assert_eq!(number(&Rest::user(&usual, 2).get(COUNT), "ratelimit-limit"), 600);
}
