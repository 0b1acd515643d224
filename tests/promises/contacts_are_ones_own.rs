//! Where somebody can be reached: they say so themselves, or a service of their tenant does; nobody else learns or changes it.
//! What is no address is refused. What was done is written down, without the addresses.

use serde_json::{Value, json};

use crate::support::{Rest, Server};

const ME: &str = "/api/v1/recipients/me";
const TWO: &str = "/api/v1/recipients/2";

fn all() -> Value {
    json!({"email": "zanzibar@example.com", "phone": "+1 (415) 555-0123", "locale": "es-MX"})
}

#[test]
fn people_and_their_services_say_where() {
    let server = Server::start();
    let (ana, service) = (Rest::user(&server, 2), Rest::backend(&server));
    let nothing = json!({
        "user_id": "2", "email": null, "phone": null, "locale": null, "sms_stopped": false, "is_minor": false,
        "guardian": null,
    });
    assert_eq!(ana.get(ME).expect(200), nothing);
    let known = ana.put(ME, &all()).expect(200);
    let expected = json!({
        "user_id": "2", "email": "zanzibar@example.com", "phone": "+14155550123", "locale": "es-MX",
        "sms_stopped": false, "is_minor": false, "guardian": null,
    });
    assert_eq!(known, expected);
    for (who, path) in [(&ana, ME), (&ana, TWO), (&service, TWO)] {
        assert_eq!(who.get(path).expect(200), expected, "{path}");
    }
    let changed = service.put(TWO, &json!({"phone": null, "locale": "el"})).expect(200);
    assert_eq!((&changed["phone"], &changed["email"]), (&Value::Null, &expected["email"]));
    // Somebody who never connected can be known, too.
    service.put("/api/v1/recipients/new", &json!({"email": "new@example.com"})).expect(200);
    // What they hear over sockets is as before.
    ana.put("/api/v1/notifications/preferences", &json!({"time_zone": "Europe/Athens"})).expect(200);
    assert_eq!(ana.get(ME).expect(200)["locale"], "el");

    let boss = Rest::claiming(&server, json!({"sub": "boss", "role": "admin"}));
    let audit = boss.get("/api/v1/audit?action=contacts.change").expect(200);
    assert_eq!(audit["entries"].as_array().or(audit["events"].as_array()).map(Vec::len), Some(3), "{audit}");
    assert!(!audit.to_string().contains("example.com") && !audit.to_string().contains("555"), "{audit}");
    assert!(!server.log().join("\n").contains("zanzibar"), "the log names somebody");
}

#[test]
fn anothers_are_none() {
    let server = Server::start();
    let (ana, service) = (Rest::user(&server, 2), Rest::backend(&server));
    ana.put(ME, &all()).expect(200);
    let before = ana.get(ME).body;
    let ben = Rest::user(&server, 3);
    let none = ben.get("/api/v1/recipients/nobody").expect(404);
    assert_eq!(none["code"], "no_such_recipient");
    assert_eq!(ben.get(TWO).expect(404), none);
    assert_eq!(ben.put(TWO, &json!({"email": "eve@example.com"})).expect(404), none);
    for claims in [json!({"sub": "2"}), json!({"sub": "shop", "scope": "notifications:send"})] {
        let mut claims = claims;
        claims["tenant_id"] = json!("elsewhere");
        let other = Rest::claiming(&server, claims);
        assert!(!other.get(TWO).body.contains("zanzibar"));
        other.put(TWO, &json!({"email": "eve@example.com"})).expect(200);
    }
    assert_eq!(ana.get(ME).body, before);
    assert_eq!(service.get(TWO).body, before);
    service.get(ME).expect(403);
}

#[test]
fn what_is_no_address_is_refused() {
    let server = Server::start();
    let ana = Rest::user(&server, 2);
    ana.put(ME, &all()).expect(200);
    let before = ana.get(ME).body;
    for (field, value) in [
        ("email", json!("ana")),
        ("email", json!("ana@example.com, eve@example.com")),
        ("email", json!("ana@example.com\r\nBcc: eve@example.com")),
        ("email", json!("ana@example.com\u{0}")),
        ("phone", json!("4155550123")),
        ("phone", json!("+1234567890")),
        ("phone", json!("+14155550123,+14155550124")),
        ("locale", json!("../../etc/passwd")),
        ("locale", json!("")),
        ("email", json!(7)),
        ("name", json!("Ana")),
    ] {
        let refused = ana.put(ME, &json!({ field: value })).expect(422);
        assert_eq!(refused["field"], field, "{value}");
    }
    assert_eq!(ana.get(ME).body, before);
}
