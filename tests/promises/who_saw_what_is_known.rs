//! Who saw, or was sent, what about whom can be read, by them and by administrators; and what a tenant does with what is
//! people's is counted for those who look whether rules are kept.

use serde_json::{Value, json};

use crate::support::hooks::admin;
use crate::support::{Ground, Rest, Server, eventually, in_seconds, instant, note};

#[test]
fn what_is_sent_about_a_student_and_looked_at_is_told() {
    let server = Server::start();
    let (service, boss) = (Rest::backend(&server), admin(&server));
    let about = |more: Value| {
        let mut new =
            json!({"type": "iep", "title": "x", "data": {"student_id": "student_12345", "iep_id": "iep_1"}});
        for (name, value) in more.as_object().expect("an object") {
            new[name] = value.clone();
        }
        service.send(&new)
    };
    let sent = about(json!({"user_ids": [2, 3]}));
    about(json!({"role": "teacher"}));
    about(json!({"user_id": "student_12345"}));
    service.send(&note(2, "about nobody"));
    let path = "/api/v1/recipients/student_12345/disclosures";
    let told = boss.get(path).expect(200);
    let seen: Vec<(&Value, &Value)> = told["disclosures"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (&one["to"], &one["action"]))
        .collect();
    let send = json!("send");
    let (teacher, three, two) = (json!("role:teacher"), json!("3"), json!("2"));
    assert_eq!(seen, [(&teacher, &send), (&three, &send), (&two, &send)]);
    assert_eq!(
        (&told["disclosures"][2]["notification_id"], &told["disclosures"][2]["by"]),
        (&sent["id"], &json!("backend"))
    );
    let page = boss.get(&format!("{path}?limit=2")).expect(200);
    assert_eq!(page["disclosures"][0]["action"], "disclosures.read", "who looked stands there, too");
    let next = boss.get(&format!("{path}?limit=100&cursor={}", page["next_cursor"])).expect(200);
    assert_eq!(next["disclosures"].as_array().map(Vec::len), Some(2));

    // What of theirs is looked at by others, and not by themselves.
    let person = Rest::user(&server, 2);
    person.get("/api/v1/recipients/me").expect(200);
    service.get("/api/v1/recipients/2").expect(200);
    service.get(&format!("/api/v1/notifications/{}/timeline?user_id=2", sent["id"])).expect(200);
    boss.get("/api/v1/recipients/2/data").expect(200);
    let told = person.get("/api/v1/recipients/me/disclosures").expect(200);
    let actions: Vec<&str> = told["disclosures"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["action"].as_str().expect("a word"))
        .collect();
    assert_eq!(actions, ["data.export", "timeline.read", "contacts.read"]);
    assert_eq!(told["disclosures"][0]["to"], "boss");
    Rest::user(&server, 3).get("/api/v1/recipients/2/disclosures").expect(404);
}

#[test]
fn what_never_went_out_was_disclosed_to_nobody() {
    let server = Server::start();
    let (service, boss) = (Rest::backend(&server), admin(&server));
    let later = json!({
        "user_ids": [2, 3], "type": "iep", "title": "x", "scheduled_at": instant(in_seconds(3_600)),
        "data": {"student": {"id": "amara"}, "studentIds": ["ben"]},
    });
    let sent = service.send(&later);
    let told = |about: &str| {
        let told = boss.get(&format!("/api/v1/recipients/{about}/disclosures")).expect(200);
        let all = told["disclosures"].as_array().expect("a list").clone();
        all.iter().filter(|one| one["action"] == "send").count()
    };
    assert_eq!((told("amara"), told("ben")), (2, 2), "however they are named");
    service.delete(&format!("/api/v1/notifications/{}/schedule", sent["id"])).expect(200);
    assert_eq!((told("amara"), told("ben")), (0, 0));
}

/// What cannot be opened is counted, and fails nothing.
#[test]
fn a_report_outlasts_what_cannot_be_opened() {
    let server = Server::start();
    let (service, boss) = (Rest::backend(&server), admin(&server));
    for user in [2, 3] {
        service.put(&format!("/api/v1/recipients/{user}"), &json!({"is_minor": true})).expect(200);
    }
    let damaged = |mark: &str| {
        format!("UPDATE recipients SET contacts = {mark} || 'sealed:deadbeef:QUJD' WHERE user_id = '2'")
    };
    server.sql(&damaged("char(1)"), &damaged("chr(1)"));
    let report = boss.get("/api/v1/compliance").expect(200);
    let many = |name: &str| {
        let figures = report["figures"].as_array().expect("a list").iter();
        figures
            .filter(|one| one["name"] == name)
            .map(|one| one["many"].as_i64().expect("a number"))
            .sum::<i64>()
    };
    assert_eq!((many("minors"), many("with contacts that cannot be opened")), (1, 1), "{report}");
    assert!(many("total") >= 2, "{report}");
}

#[test]
fn a_report_tells_how_what_is_kept_is_protected() {
    let key = format!("{:064x}", 5);
    let plain = Server::with(&[("audit.verify_seconds", "1")]);
    let encrypted = Server::on(&Ground::usual(), &[("ENCRYPTION_KEYS", &key), ("audit.verify_seconds", "1")]);
    let finding = |report: &Value, check: &str| {
        let mut all = report["findings"].as_array().expect("a list").iter();
        all.find(|one| one["check"] == check).cloned().unwrap_or_default()
    };
    let report = |server: &Server| admin(server).get("/api/v1/compliance").expect(200);
    let of = |server: &Server, check: &str| finding(&report(server), check);
    assert_eq!(of(&plain, "encryption at rest")["is_well"], false);
    let told = of(&encrypted, "encryption at rest");
    assert!(
        told["is_well"] == true && told["words"].as_str().is_some_and(|words| words.contains("by the key")),
        "{told}"
    );

    let service = Rest::backend(&plain);
    for (email, sms) in [(true, true), (false, true)] {
        service.put("/api/v1/recipients/2/consent", &json!({"email": email, "sms": sms})).expect(200);
    }
    let told = of(&plain, "consent");
    assert!(told["words"].as_str().is_some_and(|words| words.contains(" and 1 withdrawn")), "{told}");

    let words = || of(&plain, "audit log")["words"].as_str().unwrap_or_default().to_owned();
    let head = || String::from_utf8_lossy(&plain.command(&["audit", "head"]).stdout).trim().to_owned();
    eventually("it names the head", || {
        let before = head();
        (words().contains(&before) && before.len() > 64).then_some(())
    });
    assert_eq!(of(&plain, "audit log")["is_well"], true, "{}", words());
    let row = "UPDATE audit_log SET detail = '{\"x\":1}' WHERE id = 1";
    plain.sql(
        &format!("DROP TRIGGER audit_log_is_not_changed; {row}"),
        &format!("ALTER TABLE audit_log DISABLE TRIGGER ALL; {row}"),
    );
    eventually("it is seen", || (of(&plain, "audit log")["is_well"] == false).then_some(()));
    assert!(words().contains("carillon audit verify"), "{}", words());
    let figures = report(&plain);
    let sealed =
        figures["figures"].as_array().expect("a list").iter().find(|one| one["section"] == "audit log");
    assert!(sealed.is_some_and(|one| one["many"].as_i64() > Some(0)), "{figures}");
}

/// More people than one page has, and others' beside them.
#[test]
fn people_are_counted_page_by_page() {
    let server = Server::start();
    let numbers = |tenant: &str, many: i64| {
        let columns = "INSERT INTO recipients (tenant, user_id, last_position, pending_after, contacts)";
        let minor = "'{\"is_minor\":true}'";
        server.sql(
            &format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many}) \
                 {columns} SELECT '{tenant}', 'p' || i, 0, 0, CASE WHEN i % 2 = 0 THEN {minor} END FROM n"
            ),
            &format!(
                "{columns} SELECT '{tenant}', 'p' || i, 0, 0, CASE WHEN i % 2 = 0 THEN {minor} END \
                 FROM generate_series(1, {many}) AS i"
            ),
        );
    };
    numbers("one", 2_500);
    numbers("two", 1_000);
    numbers("three", 1);
    for (tenant, total, minors) in
        [("one", 2_500, 1_250), ("two", 1_000, 500), ("three", 1, 0), ("none", 0, 0)]
    {
        let boss = Rest::claiming(&server, json!({"sub": "x", "role": "admin", "tenant_id": tenant}));
        let report = boss.get("/api/v1/compliance").expect(200);
        let many = |name: &str| {
            let figures = report["figures"].as_array().expect("a list").iter();
            let mut found = figures.filter(|one| one["section"] == "people" && one["name"] == name);
            found.next().and_then(|one| one["many"].as_i64())
        };
        assert_eq!((many("total"), many("minors")), (Some(total), Some(minors)), "{tenant}");
    }
}

#[test]
fn a_tenant_has_a_report() {
    let server = Server::start();
    let (service, boss) = (Rest::backend(&server), admin(&server));
    service.put("/api/v1/recipients/2", &json!({"is_minor": true})).expect(200);
    service.put("/api/v1/recipients/2/consent", &json!({"email": true, "sms": false})).expect(200);
    boss.get("/api/v1/recipients/2/data").expect(200);
    let report = boss.get("/api/v1/compliance").expect(200);
    let many = |report: &Value, section: &str, name: &str| -> i64 {
        let figures = report["figures"].as_array().expect("a list").iter();
        let found = figures.filter(|one| one["section"] == section && one["name"] == name);
        found.map(|one| one["many"].as_i64().expect("a number")).sum()
    };
    assert_eq!(many(&report, "consent", "email given"), 1, "{report}");
    assert_eq!(many(&report, "consent", "sms withdrawn"), 1);
    assert_eq!(many(&report, "audit", "data.export"), 1);
    assert_eq!(many(&report, "people", "minors"), 1);
    let guardians =
        report["findings"].as_array().expect("a list").iter().find(|one| one["check"] == "guardians");
    assert_eq!(guardians.map(|one| &one["is_well"]), Some(&json!(false)), "{report}");
    let long_ago = format!("/api/v1/compliance?from={}&to={}", instant(0), instant(in_seconds(-86_400)));
    assert_eq!(many(&boss.get(&long_ago).expect(200), "audit", "data.export"), 0);

    let csv = boss.get("/api/v1/compliance?format=csv");
    assert_eq!((csv.status, csv.header("content-type")), (200, Some("text/csv; charset=utf-8")));
    assert!(csv.body.contains("\"consent\",\"email given\",\"1\"\r\n"), "{}", csv.body);
    // A tenant whose name is a formula for spreadsheets, or a script for browsers.
    let odd =
        Rest::claiming(&server, json!({"sub": "x", "role": "admin", "tenant_id": "=cmd|' /C calc'!A0"}));
    let csv = odd.get("/api/v1/compliance?format=csv").body;
    assert!(csv.contains("\"'=cmd|' /C calc'!A0\""), "{csv}");
    let odd = Rest::claiming(
        &server,
        json!({"sub": "x", "role": "admin", "tenant_id": "<script>alert(1)</script>"}),
    );
    let page = odd.get("/api/v1/compliance?format=html");
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("<script>"), "text stays text");
    assert!(
        page.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'"))
    );
    for bad in ["format=pdf", "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "x=1"] {
        boss.get(&format!("/api/v1/compliance?{bad}")).expect(422);
    }
}
