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

#[test]
fn who_asks_too_often_is_told_when_to_come_again() {
    let server = Server::with(&[("limits.user_per_minute", "30")]);
    let (two, three) = (Rest::user(&server, 2), Rest::user(&server, 3));
    for left in (0..30).rev() {
        let reply = two.get(COUNT);
        reply.expect(200);
        let told = ["ratelimit-limit", "ratelimit-remaining"].map(|header| number(&reply, header));
        // One comes back every two seconds.
        assert!(told[0] == 30 && (left..left + 3).contains(&told[1]), "{left}: {reply:?}");
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
    let wait = number(&refused, "retry-after");
    assert!((1..=2).contains(&wait), "{refused:?}");
    // Nothing is done for who is refused.
    let sent = two.post("/api/v1/notifications", &json!({"type": "note", "title": "too much"}));
    sleep(Duration::from_secs(number(&sent, "retry-after")));
    sent.expect(429);
    assert_eq!(two.titles(), [] as [String; 0], "after that time it is taken");

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
    let server = Server::with(&[("limits.user_per_minute", "6"), ("server.trusted_proxies", "127.0.0.1")]);
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
    let back = start.elapsed().as_secs() as usize / 10 + 1;
    assert!((6..=6 + back).contains(&taken), "{taken} were taken");

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
    let server = Server::with(&[
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
    assert!((12..=13 + start.elapsed().as_secs() as usize / 5).contains(&of_shop), "{of_shop}");
    // Eight are left to the tenant.
    let of_school = taken((0..20).map(|_| send(&school)));
    let both = of_shop + of_school;
    let back = start.elapsed().as_secs() as usize / 3 + 1;
    assert!((20..=20 + back).contains(&both), "{of_shop} and {of_school}");
    let refused = of_tenant(&server, "2", "acme").get(COUNT);
    assert_eq!((refused.status, number(&refused, "ratelimit-limit")), (429, 20), "{refused:?}");
    // Another tenant's are its own.
    assert_eq!(send(&service("shop", "other")).status, 200);
    assert_eq!(of_tenant(&server, "2", "other").get(COUNT).status, 200);
}

/// Requests to the nodes in turn.
fn alternating(nodes: &[Server], who: impl Fn(&Server) -> Rest, many: usize) -> usize {
    taken((0..many).map(|round| who(&nodes[round % nodes.len()]).get(COUNT)))
}

#[test]
fn nodes_count_together() {
    if !on_postgres() {
        return;
    }
    let cluster = RedisCluster::start();
    for url in [Redis::shared().url(), cluster.url()] {
        let settings = [("limits.user_per_minute", "12"), ("limits.tenant_per_minute", "18")];
        let nodes = Cluster::on(&Shared::fresh().with_redis(&url).into(), 2, &settings);
        let nodes = nodes.nodes();
        let mut strangers = 1..;
        eventually("they count together", || {
            // Each time as somebody else, of another tenant.
            let nobody = format!("tenant {}", strangers.next()?);
            let [here, there] = [0, 1].map(|node| of_tenant(&nodes[node], "1", &nobody).get(COUNT));
            (number(&here, "ratelimit-remaining"), number(&there, "ratelimit-remaining"))
                .eq(&(11, 10))
                .then_some(())
        });
        let start = Instant::now();
        let of_two = alternating(nodes, |node| of_tenant(node, "2", "acme"), 40);
        let back = |every: u64| start.elapsed().as_secs() / every + 1;
        assert!((12..=12 + back(5) as usize).contains(&of_two), "{of_two} were taken at {url}");
        let of_three = alternating(nodes, |node| of_tenant(node, "3", "acme"), 40);
        assert!((18..=18 + back(3) as usize).contains(&(of_two + of_three)), "{of_two} and {of_three}");
        assert_eq!(alternating(nodes, |node| of_tenant(node, "2", "other"), 2), 2);
    }
}

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
            assert!(
                (12..=13 + time.as_secs() as usize / 5).contains(&taken),
                "{taken} were taken in {time:?}"
            );
            assert!(time < Duration::from_secs(3), "30 requests took {time:?}");
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
    let server = Server::with(&[("limits.user_per_minute", "0")]);
    let two = Rest::user(&server, 2);
    for _ in 0..700 {
        let reply = two.get(COUNT);
        assert_eq!((reply.expect(200), reply.header("ratelimit-limit")), (json!({"unread_count": 0}), None));
    }
    // What `docs/carillon.example.toml` has as the default.
    let usual = Server::with(&[("limits.user_per_minute", "600")]);
    assert_eq!(number(&Rest::user(&usual, 2).get(COUNT), "ratelimit-limit"), 600);
}
