//! Nobody writes or texts to a minor: it goes to the guardian's contact, or nowhere, and the timeline says so. Who is a minor,
//! and who their guardian is, is for services to say; a minor agrees to nothing by themselves.

use serde_json::{Value, json};

use crate::support::{Rest, Server, SinkFile, eventually};

const TWO: &str = "/api/v1/recipients/2";

#[test]
fn it_goes_to_the_guardian_or_nowhere() {
    let sink = SinkFile::new();
    let (name, path) = sink.setting();
    let server = Server::with(&[(name, &path)]);
    let (service, minor) = (Rest::backend(&server), Rest::user(&server, 2));
    let own = json!({"email": "child@example.com", "phone": "+14155550123", "is_minor": true});
    let told = service.put(TWO, &own).expect(200);
    assert_eq!((&told["is_minor"], &told["guardian"]), (&json!(true), &Value::Null));
    let send = |title: &str, more: &Value| {
        let mut new = json!({
            "user_id": 2, "type": "note", "title": title, "priority": "high", "channels": ["in_app", "email", "sms"],
        });
        for (name, value) in more.as_object().expect("an object") {
            new[name] = value.clone();
        }
        service.send(&new)
    };
    let timeline =
        |sent: &Value| service.get(&format!("/api/v1/notifications/{}/timeline?user_id=2", sent["id"])).body;
    let alone = send("alone", &json!({}));
    let said = || timeline(&alone).matches("minor_without_guardian").count();
    eventually("neither goes", || (said() == 2).then_some(()));
    let given = json!({
        "user_id": 2, "type": "x", "title": "given", "channels": ["sms", "email"], "priority": "high",
        "phone_number": "+14155550123", "email": "child@example.com",
    });
    service.post("/notify", &given).expect(200);
    let preview = json!({"user_id": 2, "type": "note", "title": "x", "channels": ["email"]});
    let preview = service.post("/api/v1/notifications/preview", &preview).expect(200).to_string();
    assert!(preview.contains("minor_without_guardian"), "{preview}");
    assert_eq!(sink.taken(), Vec::<Value>::new(), "what its sender says changes nothing");

    // They cannot change that themselves, nor agree.
    for change in [json!({"is_minor": false}), json!({"guardian": {"email": "child@example.com"}})] {
        minor.put("/api/v1/recipients/me", &change).expect(403);
    }
    minor.put("/api/v1/recipients/me/consent", &json!({"email": true})).expect(403);
    minor.put("/api/v1/recipients/me/consent", &json!({"push": false})).expect(200);

    let guardian = json!({"guardian": {"email": "parent@example.com", "phone": "+14155550124"}});
    let told = service.put(TWO, &guardian).expect(200);
    assert_eq!(told["guardian"]["email"], "parent@example.com");
    assert_eq!(told["email"], "child@example.com", "what is not named stays");
    let sent = send("with a guardian", &json!({}));
    eventually("both go out", || (sink.taken().len() == 2).then_some(()));
    let whom = |channel: &str| sink.by(channel)[0]["to"].clone();
    assert_eq!((whom("email"), whom("sms")), (json!("parent@example.com"), json!("+14155550124")));
    let words = || timeline(&sent).matches("to the guardian's contact").count();
    eventually("the timeline says so", || (words() == 2).then_some(()));
    // Grown up, they are reached themselves.
    service.put(TWO, &json!({"is_minor": false})).expect(200);
    send("grown up", &json!({}));
    eventually("both go out", || (sink.taken().len() == 4).then_some(()));
    assert!(sink.by("email").iter().any(|one| one["to"] == "child@example.com"));
    for bad in [json!({"guardian": {"email": "parent"}}), json!({"guardian": []}), json!({"is_minor": null})]
    {
        service.put(TWO, &bad).expect(422);
    }
}
