//! Whoever sends by a template names it and gives data: the title and the message come in the language that was asked for,
//! or the nearest; what is missing is named, and then nothing is stored. Templates of a tenant have versions; a change is
//! used at once, on every node; what was sent stays as it was. Whatever somebody writes into a template or into data does no
//! harm.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Cluster, Rest, Server, Shared, SinkFile, eventually, on_postgres};

const SEND: &str = "/api/v1/notifications";
const TEMPLATES: &str = "/api/v1/templates";

fn admin(server: &Server) -> Rest {
    Rest::claiming(server, json!({"sub": "boss", "role": "admin"}))
}

/// A template in English and Spanish that needs an order.
fn shipped(title: &str) -> Value {
    json!({
        "type": "order_status", "priority": "high", "channels": ["in_app"], "required": ["order"],
        "optional": ["days"], "description": "It is on its way",
        "locales": {
            "en": {"title": title, "message": "Order {{ order }} is on its way{% if days is defined %}: {{ days }} days{% endif %}."},
            "es": {"title": "Pedido {{ order }}", "message": "Su pedido {{ order }} está en camino."},
        },
    })
}

fn named(name: &str, title: &str) -> Value {
    let mut template = shipped(title);
    template["name"] = json!(name);
    template
}

/// Sent by a template to user 2.
fn by(template: &str, locale: &str, data: &Value) -> Value {
    json!({"user_id": 2, "template": template, "locale": locale, "data": data})
}

/// The newest in the inbox.
fn newest(person: &Rest) -> Value {
    person.get(SEND).expect(200)["notifications"][0].clone()
}

#[test]
fn it_is_said_in_three_languages() {
    let server = Server::start();
    let (backend, person) = (Rest::backend(&server), Rest::user(&server, 2));
    let data = json!({
        "student_name": "Sarah Johnson", "meeting_date": "2025-09-15T14:00:00Z", "location": "Conference Room A",
        "attendees": ["Teacher", "Parent", "Counselor"], "iep_id": "iep_12345"
    });
    for (locale, title, day, and) in [
        (
            "en-US",
            "IEP meeting for Sarah Johnson",
            "September 15, 2025, 5:00 PM EEST",
            "Parent and Counselor",
        ),
        (
            "es-MX",
            "Reunión del IEP de Sarah Johnson",
            "15 de septiembre de 2025, 17:00 EEST",
            "Parent y Counselor",
        ),
        ("el", "Συνάντηση IEP: Sarah Johnson", "15 Σεπτεμβρίου 2025, 5:00 μ.μ. EEST", "Parent και Counselor"),
        // Nobody has written it in French.
        ("fr-CA", "IEP meeting for Sarah Johnson", "15 September 2025, 17:00 EEST", "Parent and Counselor"),
    ] {
        let mut sent = by("iep_meeting_reminder", locale, &data);
        sent["time_zone"] = json!("Europe/Athens");
        backend.send(&sent);
        let got = newest(&person);
        assert_eq!(got["title"], title, "{locale}");
        let message = got["message"].as_str().expect("a text");
        assert!(
            message.contains(day) && message.contains(and) && message.contains("Conference Room A"),
            "{message}"
        );
        assert_eq!((&got["type"], &got["priority"]), (&json!("iep_reminder"), &json!("high")));
        assert_eq!(got["data"], data, "the client gets the data, too");
    }
    // What the sender says itself goes before what the template says.
    let mut own = by("iep_meeting_reminder", "en", &data);
    (own["type"], own["priority"]) = (json!("mine"), json!("low"));
    backend.send(&own);
    let got = newest(&person);
    assert_eq!((&got["type"], &got["priority"]), (&json!("mine"), &json!("low")));
}

#[test]
fn what_is_missing_is_named_and_nothing_is_stored() {
    let server = Server::start();
    let (backend, person) = (Rest::backend(&server), Rest::user(&server, 2));
    let refused = |body: &Value| backend.post(SEND, body).expect(422);
    for data in [
        json!({}),
        json!({"student_name": "Sarah"}),
        json!({"student_name": "Sarah", "meeting_date": null}),
        json!({"student_name": "Sarah", "meeting_date": "  "}),
    ] {
        let problem = refused(&by("iep_meeting_reminder", "es", &data));
        assert_eq!(problem["code"], "missing_variable", "{problem}");
        let missing = if data["student_name"].is_null() { "student_name" } else { "meeting_date" };
        assert_eq!(problem["field"], format!("data.{missing}"), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(missing)), "{problem}");
    }
    let bad_date = json!({"student_name": "Sarah", "meeting_date": "tomorrow"});
    let problem = refused(&by("iep_meeting_reminder", "en", &bad_date));
    assert_eq!(problem["code"], "invalid_template", "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("tomorrow")), "{problem}");
    let good = json!({"grade": 85});
    for (field, value) in [
        ("template", json!("no_such_template")),
        ("template", json!("../../etc/passwd")),
        ("template", json!("Grade")),
        ("template", json!("")),
        ("locale", json!("../en")),
        ("locale", json!("english")),
        ("time_zone", json!("Athens")),
        ("title", json!("my own")),
        ("message", json!("my own")),
        ("data", json!({"grade": "z".repeat(20_000)})),
    ] {
        let mut body = by("grade_update", "en", &good);
        body[field] = value.clone();
        assert_eq!(refused(&body)["field"], field, "{value}");
    }
    assert!(person.titles().is_empty());
    assert_eq!(server.stats()["total_notifications"], 0);
}

#[test]
fn a_resend_is_one_though_the_template_has_changed() {
    let server = Server::start();
    let (boss, person) = (admin(&server), Rest::user(&server, 2));
    boss.post(TEMPLATES, &named("shipped", "Shipped: {{ order }}")).expect(201);
    let keyed = boss.keyed("a-key");
    let first = keyed.send(&by("shipped", "en", &json!({"order": 5})));
    boss.put(&format!("{TEMPLATES}/shipped"), &shipped("Sent: {{ order }}")).expect(200);
    assert_eq!(keyed.send(&by("shipped", "en", &json!({"order": 5})))["id"], first["id"]);
    assert_eq!(person.titles(), ["Shipped: 5"]);
    let other = keyed.post(SEND, &by("shipped", "es", &json!({"order": 5}))).expect(422);
    assert_eq!(other["code"], "idempotency_key_reused");
}

/// Whose language it is said in is not part of what the sender asked for.
#[test]
fn a_resend_is_one_though_its_reader_has_changed() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let person = Rest::user(&server, 2);
    let reads = |locale: &str, zone: &str| {
        backend.put("/api/v1/recipients/2", &json!({"locale": locale})).expect(200);
        person.put("/api/v1/notifications/preferences", &json!({"time_zone": zone})).expect(200);
    };
    let sent = json!({
        "user_id": 2, "template": "iep_parent_consent",
        "data": {"student_name": "Maya", "deadline_date": "2026-12-01T23:30:00Z"},
    });
    reads("es", "America/New_York");
    let keyed = backend.keyed("a-key");
    let first = keyed.send(&sent);
    reads("el", "Europe/Athens");
    assert_eq!(keyed.send(&sent)["id"], first["id"]);
    assert_eq!(person.titles().len(), 1);
}

#[test]
fn versions_follow_each_other_and_stay() {
    let server = Server::start();
    let (boss, person) = (admin(&server), Rest::user(&server, 2));
    let path = format!("{TEMPLATES}/shipped");
    boss.put(&path, &shipped("x")).expect(404);
    let made = boss.post(TEMPLATES, &named("shipped", "One {{ order }}"));
    assert_eq!(made.expect(201), json!({"name": "shipped", "version": 1}));
    assert_eq!(made.header("location"), Some(path.as_str()));
    assert_eq!(boss.post(TEMPLATES, &named("shipped", "again")).expect(409)["code"], "template_exists");
    boss.send(&by("shipped", "en", &json!({"order": 5, "days": 3})));
    assert_eq!(newest(&person)["message"], "Order 5 is on its way: 3 days.");
    assert_eq!(boss.put(&path, &shipped("Two {{ order }}")).expect(200)["version"], 2);
    boss.send(&by("shipped", "en", &json!({"order": 5})));
    assert_eq!(person.titles(), ["Two 5", "One 5"], "what was sent stays as it was");

    let now = boss.get(&path).expect(200);
    assert_eq!((&now["version"], &now["author"]), (&json!(2), &json!("boss")));
    assert_eq!(now["sources"]["en"]["title"], "Two {{ order }}");
    let before = boss.get(&format!("{path}?version=1")).expect(200);
    assert_eq!(before["sources"]["en"]["title"], "One {{ order }}");
    boss.get(&format!("{path}?version=3")).expect(404);
    let versions = boss.get(&format!("{path}/versions?limit=1")).expect(200);
    assert_eq!((&versions["versions"][0]["version"], &versions["next_cursor"]), (&json!(2), &json!(2)));
    let rest = boss.get(&format!("{path}/versions?cursor=2")).expect(200);
    assert_eq!(rest["versions"].as_array().map(Vec::len), Some(1));

    boss.delete(&path).expect(200);
    boss.delete(&path).expect(404);
    boss.get(&path).expect(404);
    assert_eq!(boss.post(SEND, &by("shipped", "en", &json!({"order": 5}))).expect(422)["field"], "template");
    assert_eq!(boss.post(TEMPLATES, &named("shipped", "Three {{ order }}")).expect(201)["version"], 3);
    assert_eq!(
        boss.get(&format!("{path}?version=1")).expect(200)["sources"]["en"]["title"],
        "One {{ order }}"
    );
    let actions = boss.get("/api/v1/audit?subject=template:shipped").expect(200);
    let actions: Vec<_> =
        actions["entries"].as_array().expect("a list").iter().map(|row| row["action"].clone()).collect();
    // That it is asked about stands there, too.
    let actions: Vec<_> = actions.into_iter().filter(|action| action != "audit.read").collect();
    assert_eq!(actions, ["template.create", "template.delete", "template.change", "template.create"]);
}

#[test]
fn ones_own_goes_before_what_is_built_in() {
    let server = Server::start();
    let (boss, person) = (admin(&server), Rest::user(&server, 2));
    let path = format!("{TEMPLATES}/grade_update");
    let built_in = boss.get(&path).expect(200);
    assert_eq!((&built_in["version"], &built_in["is_built_in"]), (&json!(0), &json!(true)));
    boss.delete(&path).expect(404);
    let mut own = shipped("Mark: {{ order }}");
    own["required"] = json!(["order"]);
    assert_eq!(boss.put(&path, &own).expect(200)["version"], 1);
    boss.send(&by("grade_update", "en", &json!({"order": 85})));
    boss.delete(&path).expect(200);
    boss.send(&by("grade_update", "en", &json!({"grade": 85})));
    assert_eq!(person.titles(), ["Grade posted", "Mark: 85"]);
    // Others of another tenant never saw it.
    let listed = boss.get("/templates").expect(200);
    let listed = listed["templates"].as_array().expect("a list");
    let reminder = listed.iter().find(|one| one["id"] == "iep_deadline_warning").expect("it is built in");
    assert_eq!(reminder["channels"], json!(["websocket", "push", "sms"]));
    assert_eq!(reminder["priority"], "critical");
    assert_eq!(reminder["variables"], json!(["student_name", "deadline_date"]));
    assert_eq!(reminder["locales"], json!(["el", "en", "es"]));
}

#[test]
fn a_change_is_used_at_once_on_every_node() {
    if !on_postgres() {
        return;
    }
    let cluster = Cluster::on(&Shared::fresh().into(), 2, &[]);
    let bosses = [admin(cluster.node(0)), admin(cluster.node(1))];
    let person = Rest::user(cluster.node(0), 2);
    bosses[0].post(TEMPLATES, &named("shipped", "0 {{ order }}")).expect(201);
    for round in 1..=20 {
        let (here, there) = (&bosses[round % 2], &bosses[(round + 1) % 2]);
        there.send(&by("shipped", "en", &json!({"order": round})));
        let title = format!("{round} {{{{ order }}}}");
        here.put(&format!("{TEMPLATES}/shipped"), &shipped(&title)).expect(200);
        there.send(&by("shipped", "en", &json!({"order": round})));
        assert_eq!(newest(&person)["title"], format!("{round} {round}"), "the other node speaks by it");
    }
    bosses[0].delete(&format!("{TEMPLATES}/shipped")).expect(200);
    bosses[1].post(SEND, &by("shipped", "en", &json!({"order": 1}))).expect(422);
    // Whoever makes one at the same moment: one of them does.
    let made = std::thread::scope(|scope| {
        let make = |boss: &Rest| boss.post(TEMPLATES, &named("raced", "x")).status;
        let all: Vec<_> = bosses.iter().map(|boss| scope.spawn(move || make(boss))).collect();
        let mut statuses: Vec<u16> = all.into_iter().map(|one| one.join().expect("an answer")).collect();
        statuses.sort_unstable();
        statuses
    });
    assert_eq!(made, [201, 409]);
}

#[test]
fn it_can_be_looked_at_before() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let evil = "<script>alert(1)</script>";
    let data = json!({"student_name": evil, "deadline_date": "2025-09-20T23:59:59Z", "days_remaining": 1});
    let look = json!({"locale": "es-MX", "data": data, "time_zone": "America/Mexico_City"});
    let path = format!("{TEMPLATES}/iep_deadline_warning/preview");
    let said = backend.post(&path, &look).expect(200);
    assert_eq!((&said["locale"], &said["version"]), (&json!("es"), &json!(0)));
    assert_eq!(said["title"], format!("Plazo del IEP de {evil}: queda 1 día"));
    assert!(
        said["sms"].as_str().is_some_and(|sms| sms.contains("vence el 20 de septiembre de 2025")),
        "{said}"
    );
    assert_eq!(said["push"]["actions"], json!([{"action": "view", "title": "Abrir"}]));
    assert_eq!(said["push"]["priority"], "urgent");
    let html = said["email"]["html"].as_str().expect("a page");
    assert!(
        !html.contains("<script") && html.contains("&lt;script") && html.contains("lang=\"es\""),
        "{html}"
    );
    let mut only = look.clone();
    only["channel"] = json!("sms");
    let said = backend.post(&path, &only).expect(200);
    assert!(said["sms"].is_string() && said["push"].is_null() && said["email"].is_null(), "{said}");
    assert_eq!(backend.post(&path, &json!({})).expect(422)["code"], "missing_variable");
    let unsaved = json!({"template": shipped("Order {{ order }}"), "data": {"order": 7}});
    assert_eq!(backend.post(&format!("{TEMPLATES}/preview"), &unsaved).expect(200)["title"], "Order 7");
    assert_eq!(server.stats()["total_notifications"], 0);
}

#[test]
fn bad_templates_are_explained_and_change_nothing() {
    let server = Server::start();
    let boss = admin(&server);
    let path = format!("{TEMPLATES}/shipped");
    boss.post(TEMPLATES, &named("shipped", "{{ order }}")).expect(201);
    let before = boss.get(&path).expect(200);
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut template = shipped("x");
        change(&mut template);
        let problem = boss.put(&path, &template).expect(422);
        let mut fresh = template;
        fresh["name"] = json!("fresh");
        assert_eq!(boss.post(TEMPLATES, &fresh).expect(422)["field"], problem["field"]);
        problem
    };
    let deep = "{% if order %}".repeat(100);
    for (line, source) in [
        (1, "{{ order"),
        (2, "x\n{{ ordre }}"),
        (3, "\n\n{% include '/etc/passwd' %}"),
        (1, "{% set x = 1 %}"),
        (1, "{{ order.__class__ }}{{ range(9) }}"),
        (1, "{{ order|nothing }}"),
        (1, "{{ order * 1000 }}"),
        (1, deep.as_str()),
        (2, "\n{% if order %}"),
    ] {
        let problem = refused(&|template| template["locales"]["en"]["title"] = json!(source));
        assert_eq!(problem["code"], "invalid_template", "{problem}");
        assert_eq!(problem["field"], "locales.en.title", "{problem}");
        if !source.contains("ordre") {
            assert_eq!(problem["line"], line, "{source}: {problem}");
        }
    }
    let html = |html: &'static str| {
        refused(&move |template| template["locales"]["es"]["email"] = json!({"html": html}))["field"].clone()
    };
    for bad in [
        "<script>x</script>",
        "<img src=\"https://a\">",
        "<a href=\"{{ order }}\">x</a>",
        "<p onclick=\"x\">",
    ] {
        assert_eq!(html(bad), "locales.es.email.html", "{bad}");
    }
    for (field, value) in [
        ("type", json!("")),
        ("type", json!("new_booking")),
        ("default_locale", json!("el")),
        ("locales", json!({})),
        ("channels", json!(["pigeon"])),
        ("priority", json!("huge")),
        ("required", json!(["a b"])),
        ("colour", json!("red")),
    ] {
        assert_eq!(refused(&|template| template[field] = value.clone())["field"], field, "{value}");
    }
    for name in ["../x", "a/b", "A", "", ".", "preview", "a..b"] {
        let problem = boss.post(TEMPLATES, &named(name, "x")).expect(422);
        assert_eq!(problem["field"], "name", "{name}: {problem}");
    }
    for name in ["..%2F..%2Fetc%2Fpasswd", "%2e%2e", "A", "%00", "no_such"] {
        boss.get(&format!("{TEMPLATES}/{name}")).expect(404);
        boss.put(&format!("{TEMPLATES}/{name}"), &shipped("x")).expect(404);
    }
    assert_eq!(boss.get(&path).expect(200), before, "nothing has changed");
    boss.get(&format!("{TEMPLATES}/fresh")).expect(404);
}

#[test]
fn what_would_take_for_ever_ends_soon() {
    let server = Server::start();
    let (boss, person) = (admin(&server), Rest::user(&server, 2));
    let list: Vec<u32> = (0..3_000).collect();
    let each = "{% for p in list %}";
    let end = "{% endfor %}";
    for source in [
        format!("{each}{each}{each}{each}x{end}{end}{end}{end}"),
        format!("{each}{{{{ order }}}}{end}"),
        format!("{each}{{% if order|upper == order|lower %}}x{{% endif %}}{end}"),
    ] {
        let mut template = shipped(&source);
        (template["optional"], template["name"]) = (json!(["days", "list"]), json!("heavy"));
        boss.post(TEMPLATES, &template).expect(201);
        let data = json!({"order": "z".repeat(2_000), "list": list});
        let since = Instant::now();
        let problem = boss.post(SEND, &by("heavy", "en", &data)).expect(422);
        assert_eq!(problem["code"], "invalid_template", "{problem}");
        boss.post(&format!("{TEMPLATES}/heavy/preview"), &json!({"data": data})).expect(422);
        assert!(since.elapsed() < Duration::from_secs(10), "{source}: {:?}", since.elapsed());
        boss.delete(&format!("{TEMPLATES}/heavy")).expect(200);
    }
    assert!(person.titles().is_empty());
}

#[test]
fn who_may_do_what() {
    let server = Server::start();
    let (boss, person) = (admin(&server), Rest::user(&server, 2));
    let author = Rest::claiming(&server, json!({"sub": "author", "scope": "templates:write"}));
    let sender = Rest::claiming(&server, json!({"sub": "shop", "scope": "notifications:send"}));
    let elsewhere =
        Rest::claiming(&server, json!({"sub": "boss", "role": "admin", "tenant_id": "elsewhere"}));
    author.post(TEMPLATES, &named("shipped", "{{ order }}")).expect(201);
    let path = format!("{TEMPLATES}/shipped");
    for who in [&sender, &Rest::backend(&server)] {
        who.get(&path).expect(200);
        who.post(TEMPLATES, &named("mine", "x")).expect(403);
        who.put(&path, &shipped("x")).expect(403);
        who.delete(&path).expect(403);
    }
    person.get(TEMPLATES).expect(403);
    person.get(&path).expect(403);
    person.get("/templates").expect(403);
    person.post(&format!("{path}/preview"), &json!({"data": {"order": 1}})).expect(403);
    elsewhere.get(&path).expect(404);
    elsewhere.put(&path, &shipped("x")).expect(404);
    elsewhere.delete(&path).expect(404);
    let none = elsewhere.post(SEND, &json!({"template": "shipped", "data": {"order": 1}})).expect(422);
    assert_eq!(none["field"], "template");
    // The same name elsewhere is another template.
    elsewhere.post(TEMPLATES, &named("shipped", "theirs {{ order }}")).expect(201);
    boss.send(&by("shipped", "en", &json!({"order": 5})));
    assert_eq!(person.titles(), ["5"]);
}

/// Where the sender says neither, it is told in its reader's language and by their clocks, on every channel.
#[test]
fn it_is_said_as_its_reader_lives() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let server = Server::with(&[(name, &path)]);
    let backend = Rest::backend(&server);
    for (user, locale, zone) in [(2, "el", "Europe/Athens"), (3, "es", "America/New_York")] {
        let contacts = json!({"locale": locale, "email": format!("user{user}@example.com")});
        backend.put(&format!("/api/v1/recipients/{user}"), &contacts).expect(200);
        let here = json!({"time_zone": zone});
        Rest::user(&server, user).put("/api/v1/notifications/preferences", &here).expect(200);
    }
    let mut consent = json!({
        "template": "iep_parent_consent", "channels": ["in_app", "email"], "user_id": 2,
        "data": {"student_name": "Maya", "deadline_date": "2026-12-01T23:30:00Z"},
    });
    let written = |user: u64, many: usize| {
        eventually("it is written", || {
            let all = sink.by("email");
            let to = all.iter().filter(|mail| mail["to"] == format!("user{user}@example.com"));
            let texts: Vec<_> = to.map(|mail| mail["text"].as_str().expect("a text").to_owned()).collect();
            (texts.len() == many).then(|| texts.last().cloned().expect("one"))
        })
    };
    backend.send(&consent);
    let got = newest(&Rest::user(&server, 2));
    assert_eq!(got["title"], "Χρειάζεται η συγκατάθεσή σας: Maya");
    assert!(got["message"].as_str().is_some_and(|text| text.contains("2 Δεκεμβρίου 2026")), "{got}");
    let letter = written(2, 1);
    assert!(letter.contains("2 Δεκεμβρίου 2026"), "{letter}");

    // What is said at once to several is stored once; beyond their inboxes each is told as they live.
    consent["user_ids"] = json!([2, 3]);
    consent.as_object_mut().expect("an object").remove("user_id");
    backend.send(&consent);
    assert_eq!(newest(&Rest::user(&server, 2))["title"], "Your consent is needed for Maya");
    let (second, first) = (written(2, 2), written(3, 1));
    assert!(second.contains("2 Δεκεμβρίου 2026"), "{second}");
    assert!(first.contains("1 de diciembre de 2026"), "{first}");

    // What the sender says goes before.
    let mut english = by("iep_parent_consent", "en", &consent["data"]);
    english["time_zone"] = json!("UTC");
    backend.send(&english);
    let got = newest(&Rest::user(&server, 2));
    assert!(
        got["message"]
            .as_str()
            .is_some_and(|text| text.contains("December 1, 2026") || text.contains("1 December 2026")),
        "{got}"
    );
}
