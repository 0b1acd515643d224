//! People register the browsers that take their pushes, in the words of any seed's page; say what each is to get; and take
//! them away. What nothing could be sent to is refused at once, and nobody touches another's.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{Rest, Server, call, quiet_now};

/// A point on the curve: that of RFC 8291's example.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

fn standard(text: &str) -> String {
    STANDARD.encode(URL_SAFE_NO_PAD.decode(text).expect("base64url"))
}

fn endpoint(name: &str) -> String {
    format!("https://push.example.com/send/{name}")
}

/// As a browser writes itself.
fn by_browser(name: &str) -> Value {
    json!({"endpoint": endpoint(name), "expirationTime": null, "keys": {"p256dh": P256DH, "auth": AUTH}})
}

/// As the hub's page does.
fn by_hub(name: &str) -> Value {
    json!({
        "endpoint": endpoint(name), "p256dh_key": standard(P256DH), "auth_key": standard(AUTH),
        "user_agent": "Mozilla/5.0", "device_info": {"platform": "web", "browser": "Firefox"},
    })
}

const LIST: &str = "/api/v1/push/subscriptions";

fn listed(who: &Rest) -> Vec<Value> {
    who.get(LIST).expect(200)["subscriptions"].as_array().expect("a list").clone()
}

fn names(who: &Rest) -> Vec<String> {
    let name = |one: &Value| {
        one["endpoint"].as_str().and_then(|at| at.rsplit('/').next()).expect("a name").to_owned()
    };
    listed(who).iter().map(name).collect()
}

#[test]
fn every_page_registers_in_its_own_words() {
    let server = Server::start();
    let ana = Rest::user(&server, 2);
    let first = ana.post("/push/subscribe", &by_browser("one")).expect(201);
    assert_eq!(first["status"], "subscribed");
    let second = ana.post("/api/v1/push/subscribe", &by_hub("two")).expect(201);
    assert_ne!(first["subscription_id"], second["id"]);
    // Pages register again at each load.
    assert_eq!(ana.post("/push/subscribe", &by_browser("one")).expect(201), first);
    let all = listed(&ana);
    assert_eq!(names(&ana), ["one", "two"]);
    assert_eq!(
        (&all[1]["user_agent"], &all[1]["device_info"]["browser"]),
        (&json!("Mozilla/5.0"), &json!("Firefox"))
    );
    assert_eq!((&all[0]["types"], &all[0]["failures"]), (&Value::Null, &json!(0)));
    assert!(!ana.get(LIST).body.contains(AUTH), "keys are not told");

    let change = json!({"types": ["grade", "security_alert"], "quiet_hours": quiet_now()});
    let path = format!("{LIST}/{}", second["id"]);
    let changed = ana.put(&path, &change).expect(200);
    assert_eq!(changed["types"], change["types"]);
    assert_eq!(changed["quiet_hours"]["start"], change["quiet_hours"]["start"]);
    // Registering again keeps what was chosen; what is not named stays.
    ana.post("/api/v1/push/subscribe", &by_hub("two")).expect(201);
    let changed = ana.put(&path, &json!({"types": null})).expect(200);
    assert_eq!((&changed["types"], &changed["quiet_hours"]["enabled"]), (&Value::Null, &json!(true)));

    ana.delete(&format!("/push/unsubscribe?endpoint={}", endpoint("one"))).expect(200);
    // Saying so twice is no mistake.
    ana.post("/push/unsubscribe", &json!({"endpoint": endpoint("one")})).expect(200);
    ana.delete("/push/unsubscribe?endpoint=%00").expect(200);
    ana.delete(&path).expect(200);
    assert!(listed(&ana).is_empty());
    let audit = Rest::claiming(&server, json!({"sub": "boss", "role": "admin"}));
    let audit = audit.get("/api/v1/audit?limit=100").expect(200);
    for action in ["device.add", "device.change", "device.remove"] {
        assert!(audit.to_string().contains(action), "{action} is not in {audit}");
    }
    assert!(!audit.to_string().contains(&endpoint("one")), "an endpoint is a secret");
}

#[test]
fn a_browser_has_one_owner() {
    let server = Server::start();
    let (ana, ben) = (Rest::user(&server, 2), Rest::user(&server, 3));
    let elsewhere = Rest::claiming(&server, json!({"sub": "2", "tenant_id": "elsewhere"}));
    let id = ana.post("/push/subscribe", &by_browser("shared")).expect(201)["subscription_id"].clone();
    ana.put(&format!("{LIST}/{id}"), &json!({"types": ["grade"]})).expect(200);
    // Another tenant has its own.
    elsewhere.post("/push/subscribe", &by_browser("shared")).expect(201);
    assert_eq!(names(&ana), ["shared"]);
    // Whoever logs in on it takes it over, without what the other chose.
    ben.post("/push/subscribe", &by_browser("shared")).expect(201);
    assert!(names(&ana).is_empty());
    assert_eq!(listed(&ben)[0]["types"], Value::Null);
    // And nobody else touches it.
    let none = ana.delete(&format!("{LIST}/123456")).expect(404);
    assert_eq!(ana.delete(&format!("{LIST}/{id}")).expect(404), none);
    ana.put(&format!("{LIST}/{id}"), &json!({"types": []})).expect(404);
    ana.post("/push/unsubscribe", &json!({"endpoint": endpoint("shared")})).expect(200);
    elsewhere.delete(&format!("{LIST}/{id}")).expect(404);
    assert_eq!(names(&ben), ["shared"]);
}

#[test]
fn what_nothing_can_be_sent_to_is_refused() {
    let server = Server::start();
    let ana = Rest::user(&server, 2);
    let off_the_curve = URL_SAFE_NO_PAD.encode([vec![4_u8], vec![7; 64]].concat());
    let with = |field: &str, value: Value| {
        let mut page = by_browser("x");
        match field {
            "endpoint" => page["endpoint"] = value,
            field => page["keys"][field] = value,
        }
        page
    };
    for (field, value) in [
        ("endpoint", json!("")),
        ("endpoint", json!("http://push.example.com/x")),
        ("endpoint", json!("https://127.0.0.1/x")),
        ("endpoint", json!("https://169.254.169.254/latest")),
        ("endpoint", json!("https://[::1]:6379/")),
        ("endpoint", json!("https://localhost/x")),
        ("endpoint", json!("https://postgres:5432/x")),
        ("endpoint", json!("https://user:word@push.example.com/x")),
        ("endpoint", json!("javascript:alert(1)")),
        ("endpoint", json!(format!("https://push.example.com/{}", "x".repeat(2_100)))),
        ("p256dh", json!("")),
        ("p256dh", json!("not base64!")),
        ("p256dh", json!(AUTH)),
        ("p256dh", json!(off_the_curve)),
        ("auth", json!("")),
        ("auth", json!(P256DH)),
    ] {
        let refused = ana.post("/push/subscribe", &with(field, value.clone())).expect(422);
        assert_eq!(
            (&refused["code"], &refused["field"]),
            (&json!("invalid_field"), &json!(field)),
            "{value}"
        );
    }
    let mut hub = by_hub("x");
    hub["p256dh_key"] = json!(off_the_curve);
    assert_eq!(ana.post("/api/v1/push/subscribe", &hub).expect(422)["field"], "p256dh_key");
    ana.post("/push/subscribe", &json!({"endpoint": endpoint("x")})).expect(422);
    assert!(listed(&ana).is_empty());
}

#[test]
fn nobody_has_too_many() {
    let server = Server::with(&[("limits.devices_per_user", "2")]);
    let ana = Rest::user(&server, 2);
    for name in ["one", "two"] {
        ana.post("/push/subscribe", &by_browser(name)).expect(201);
    }
    assert_eq!(ana.post("/push/subscribe", &by_browser("three")).expect(409)["code"], "too_many_devices");
    ana.post("/push/subscribe", &by_browser("two")).expect(201);
    Rest::user(&server, 3).post("/push/subscribe", &by_browser("three")).expect(201);
    ana.delete(&format!("/push/unsubscribe?endpoint={}", endpoint("one"))).expect(200);
    // Another's that moves here counts, too.
    ana.post("/push/subscribe", &by_browser("three")).expect(201);
    assert_eq!(names(&ana), ["two", "three"]);
}

#[test]
fn pages_learn_the_key_without_a_token() {
    let key = "/api/v1/push/vapid-public-key";
    let pair = crate::support::run_command(&["vapid"], &[]);
    let pair = String::from_utf8(pair.stdout).expect("a text");
    let lines: Vec<(&str, &str)> = pair.lines().filter_map(|line| line.split_once('=')).collect();
    let [("VAPID_PUBLIC_KEY", public), ("VAPID_PRIVATE_KEY", private)] = lines[..] else { panic!("{pair}") };
    let server = Server::with(&[("VAPID_PUBLIC_KEY", public), ("VAPID_PRIVATE_KEY", private)]);
    assert_eq!(server.get(key).expect(200)["public_key"], public);
    let page = call(server.address, "GET", key, &[("Origin", "https://app.example.com")], None);
    assert_eq!(page.header("access-control-allow-origin"), Some("*"));

    let mut server = Server::with(&[("VAPID_PRIVATE_KEY", "")]);
    if server.is_on_sqlite() {
        // A pair is made once, beside the file, and told to nobody else.
        let made = server.get(key).expect(200);
        server.stop();
        server.restart();
        assert_eq!(server.get(key).expect(200), made);
        let file = server.home().join("carillon.db.vapid");
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().expect("a file").permissions());
        assert_eq!(mode & 0o777, 0o600);
    } else {
        // Several nodes must share one.
        assert_eq!(server.get(key).expect(503)["code"], "push_unavailable");
        // Nor is a browser taken to which nothing would ever be pushed.
        let ana = Rest::user(&server, 2);
        for (path, page) in [("/push/subscribe", by_browser("x")), ("/api/v1/push/subscribe", by_hub("x"))] {
            let refused = ana.post(path, &page).expect(503);
            assert_eq!(refused["code"], "push_unavailable");
            assert!(
                refused["detail"].as_str().is_some_and(|what| what.contains("carillon vapid")),
                "{refused}"
            );
        }
        assert!(listed(&ana).is_empty());
        assert_eq!(server.get("/health").json()["services"]["push"], "not configured");
    }
}

#[test]
fn a_key_that_is_none_ends_the_start() {
    for (public, private, what) in [
        ("", "your-vapid-private-key", "VAPID_PRIVATE_KEY"),
        (P256DH, "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94x", "VAPID_PRIVATE_KEY"),
        (P256DH, "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw", "does not belong"),
    ] {
        let keys = [("VAPID_PUBLIC_KEY", public), ("VAPID_PRIVATE_KEY", private)];
        let output = crate::support::run_command(&["serve", "--port", "0"], &keys);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(what), "{said}");
    }
    let loopback = [
        ("CARILLON_ENV", "production"),
        ("JWT_SECRET_KEY", "0123456789abcdef0123456789abcdef"),
        ("BACKEND_SERVICE_TOKEN", "0123456789abcdef0123456789abcdef"),
        ("CARILLON_DELIVERY_ALLOW_LOOPBACK", "true"),
    ];
    let output = crate::support::run_command(&["serve", "--port", "0"], &loopback);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("delivery.allow_loopback"), "{said}");
}
