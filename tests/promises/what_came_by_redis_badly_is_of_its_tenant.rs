//! What came by Redis and cannot be read is of the tenant that it names: its people are shown it, and it goes with them, and with
//! nobody else.

use serde_json::{Value, json};

use crate::support::{Redis, Rest, Server, beside_redis, dead_letters, eventually};

const ME: &str = "/api/v1/recipients/me/data";
const MARIA: &str = "/api/v1/recipients/maria/data";

/// Leaves them, and waits until all are dead letters.
fn leave(redis: &Redis, texts: &[String]) {
    let there = dead_letters(redis).len();
    for text in texts {
        redis.cli(&["XADD", "notifications:stream", "*", "notification", text]);
    }
    eventually("all are dead letters", || (dead_letters(redis).len() == there + texts.len()).then_some(()));
}

/// What is kept of all letters.
fn left(redis: &Redis) -> String {
    dead_letters(redis)
        .iter()
        .map(|letter| format!("{} {}\n", letter["notification"], letter["reason"]))
        .collect()
}

fn maria(server: &Server, tenant: &str) -> Rest {
    Rest::claiming(server, json!({"sub": "maria", "tenant_id": tenant}))
}

fn boss(server: &Server, tenant: &str) -> Rest {
    Rest::claiming(server, json!({"sub": "boss", "role": "admin", "tenant_id": tenant}))
}

/// Of the tenant red and hers alone, however they are broken.
fn hers() -> Vec<String> {
    let long = "x".repeat(60_000);
    vec![
        r#"{"userId":"maria","tenantId":"red","title":"crimson one", broken…"#.to_owned(),
        format!(
            r#"{{"tenantId":"red","userId":"maria","type":"note","title":"crimson two","message":"{long}"}}"#
        ),
        r#"{'tenant_id': 'red', 'user_id': 'maria', 'title': 'crimson three'}"#.to_owned(),
        r#""{\"tenantId\":\"red\",\"userId\":\"maria\",\"title\":\"crimson four\"}""#.to_owned(),
        r#"{"userId":"maria","tenantId":"red","title":"crimson five","odd":1}"#.to_owned(),
        r#"{"recipients":["m\u0061ria"],"tenantId":"r\u0065d","title":"crimson six","odd":1"#.to_owned(),
    ]
}

/// Of others, who have her name or not.
fn of_others() -> Vec<String> {
    vec![
        r#"{"userId":"maria","tenantId":"blue","title":"azure one", broken…"#.to_owned(),
        format!(
            r#"{{"tenant_id":"blue","userId":"maria","title":"azure two","message":"{}"}}"#,
            "x".repeat(60_000)
        ),
        r#"{"userId":"paul","tenantId":"red","title":"azure three", broken"#.to_owned(),
        r#"{"userId":"maria","title":"azure four","odd":1}"#.to_owned(),
        r#"{"userId":"paul","tenantId":"red","title":"about maria: azure five","odd":1}"#.to_owned(),
    ]
}

#[test]
fn it_is_shown_to_whom_it_names_and_goes_with_them() {
    let (server, redis) = beside_redis();
    leave(&redis, &hers());
    leave(&redis, &of_others());
    let others: Vec<_> = dead_letters(&redis).split_off(hers().len());
    let shown = maria(&server, "red").get(ME).expect(200)["redis"].clone();
    let said = shown.to_string();
    for word in ["one", "two", "three", "four", "five", "six"] {
        assert!(said.contains(&format!("crimson {word}")), "{word}: {said}");
    }
    assert!(!said.contains("azure"), "{said}");
    assert_eq!(shown.as_array().map(Vec::len), Some(hers().len()), "{said}");
    // Whoever else has her name erases nothing of hers.
    let erased = boss(&server, "green").delete(MARIA).expect(200);
    assert_eq!(erased["removed"]["redis"], Value::Null, "{erased}");

    let erased = boss(&server, "red").delete(MARIA).expect(200);
    assert_eq!(erased["removed"]["redis"], hers().len(), "{erased}");
    assert_eq!(dead_letters(&redis), others, "those of others are as they were");
    assert_eq!(maria(&server, "red").get(ME).expect(200)["redis"], json!([]));
    // The default tenant erases its own.
    let erased = maria(&server, "default").delete(ME).expect(200);
    assert_eq!(erased["removed"]["redis"], 1, "{erased}");
    assert!(left(&redis).contains("azure one") && !left(&redis).contains("azure four"));
}

/// Whose it is cannot be told: nobody's letter goes, and nothing of hers stays.
#[test]
fn of_what_may_be_anybodys_the_text_goes() {
    let (server, redis) = beside_redis();
    let long = "x".repeat(60_000);
    let unknown = [
        // Cut before the tenant is named.
        format!(r#"{{"userId":"maria","title":"umber one","message":"{long}","tenantId":"red"}}"#),
        // The tenant of something in it is not its own.
        format!(
            r#"{{"userId":"maria","title":"umber two","data":{{"tenantId":"blue"}},"message":"{long}"}}"#
        ),
        r#"{"userId":"maria","title":"umber three", broken"#.to_owned(),
        r#"{"userIds":["paul","maria"],"tenantId":"red","title":"umber four", broken"#.to_owned(),
        r#"{"userid":"maria","tenantId":"red","title":"umber five"}"#.to_owned(),
        "umber six: maria".to_owned(),
    ];
    leave(&redis, &unknown);
    let before = dead_letters(&redis);
    let shown = maria(&server, "red").get(ME).expect(200)["redis"].clone();
    let said = shown.to_string();
    assert_eq!(shown.as_array().map(Vec::len), Some(unknown.len()), "{said}");
    assert!(!said.contains("umber") && !said.contains("paul") && said.contains("too_large"), "{said}");

    let erased = maria(&server, "red").delete(ME).expect(200);
    assert_eq!(erased["removed"]["redis"], unknown.len(), "{erased}");
    let after = dead_letters(&redis);
    assert_eq!(after.len(), before.len());
    for (before, after) in before.iter().zip(&after) {
        for name in ["code", "at", "source", "entry", "bytes"] {
            assert_eq!(before[name], after[name], "{name}");
        }
    }
    assert!(!left(&redis).contains("maria") && !left(&redis).contains("umber"), "{}", left(&redis));
    assert_eq!(maria(&server, "red").delete(ME).expect(200)["removed"]["redis"], Value::Null);

    // What names no tenant, and is whole, is the default tenant's.
    leave(&redis, &[unknown[2].clone()]);
    let own = maria(&server, "default");
    assert!(own.get(ME).expect(200)["redis"].to_string().contains("umber three"));
    assert_eq!(own.delete(ME).expect(200)["removed"]["redis"], 1);
    assert_eq!(dead_letters(&redis).len(), unknown.len());

    // Whom a letter names may have been cut away.
    assert!(!own.delete(ME).expect(200)["remains"].to_string().contains("cut"));
    leave(&redis, &[format!(r#"{{"message":"{long}","userId":"maria"}}"#)]);
    assert!(own.delete(ME).expect(200)["remains"].to_string().contains("cut"));
}

#[test]
fn of_what_is_for_several_each_is_shown_their_part() {
    let (server, redis) = beside_redis();
    leave(
        &redis,
        &[
            r#"{"recipients":["maria","paul"],"tenantId":"red","title":"for two","odd":1}"#.to_owned(),
            r#"{"userId":"paul","user_ids":["maria","peter"],"tenantId":"red","title":"for three"}"#
                .to_owned(),
        ],
    );
    let shown = maria(&server, "red").get(ME).expect(200)["redis"].to_string();
    assert!(shown.contains("for two") && shown.contains("for three") && shown.contains("maria"), "{shown}");
    assert!(!shown.contains("paul") && !shown.contains("peter"), "{shown}");
}
