//! A forged, confused, expired or odd token opens nothing, and is refused in the same words as any other.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::support::{Clients, JWT_SECRET, Server, in_seconds, sign, sign_with, user_token};

/// `{"alg":"none","typ":"JWT"}` and `{"alg":"RS256","typ":"JWT"}`.
const NONE: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
const RS256: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9";

/// A socket of its own for each: one that fails often is slowed down.
fn refused(clients: &Clients, why: &str, id: &Value, token: Value) {
    let page = clients.stranger();
    page.emit("facilitator_connect", json!({"facilitator_id": id, "token": token}));
    let refusal = page.hear("auth_error");
    assert_eq!(refusal["error"], "Invalid token", "{why}");
    assert!(page.heard("facilitator_auth_success").is_empty(), "{why}");
}

#[test]
fn forged_signatures_are_refused() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let good = user_token(2);
    let [header, claims, signature]: [&str; 3] =
        good.split('.').collect::<Vec<_>>().try_into().expect("three parts");
    let others = user_token(3);
    let others_claims = others.split('.').nth(1).expect("claims");
    let live = json!({"sub": "2", "exp": in_seconds(3600)});
    let forged = [
        ("no algorithm, no signature", format!("{NONE}.{claims}.")),
        ("no algorithm, old signature", format!("{NONE}.{claims}.{signature}")),
        ("another algorithm's name", format!("{RS256}.{claims}.{signature}")),
        ("stripped signature", format!("{header}.{claims}.")),
        ("two parts", format!("{header}.{claims}")),
        ("other claims", format!("{header}.{others_claims}.{signature}")),
        ("another key", sign_with(&live, "a-key-of-the-attackers-own-choosing", Algorithm::HS256)),
        ("the empty key", sign_with(&live, "", Algorithm::HS256)),
        ("another algorithm with the right key", sign_with(&live, JWT_SECRET, Algorithm::HS512)),
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("noise", "\u{0}\n\u{1F512}".repeat(1000)),
    ];
    for (why, token) in forged {
        refused(&clients, why, &json!(2), token.into());
    }
    for token in [json!(null), json!(7), json!([good]), json!({"token": good})] {
        refused(&clients, "not a text", &json!(2), token);
    }
    clients.facilitator(2); // an honest page is as welcome as before
}

#[test]
fn expired_and_odd_claims_are_refused() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let later = in_seconds(3600);
    let odd = [
        ("expired", json!({"sub": "2", "exp": in_seconds(-3600)})),
        ("without an end", json!({"sub": "2"})),
        ("an end that is no number", json!({"sub": "2", "exp": "never"})),
        ("not yet valid", json!({"sub": "2", "exp": later, "nbf": in_seconds(1800)})),
        ("nobody", json!({"exp": later})),
        ("an empty subject", json!({"sub": "", "exp": later})),
        ("a list of subjects", json!({"sub": ["2"], "exp": later})),
        ("a null subject", json!({"sub": null, "exp": later})),
        ("an object", json!({"sub": {"id": 2}, "exp": later})),
        ("a truth", json!({"sub": true, "exp": later})),
        ("a fraction", json!({"sub": 2.5, "exp": later})),
        ("a line break", json!({"sub": "2\n", "exp": later})),
        ("a null character", json!({"sub": "2\u{0}", "exp": later})),
        ("spaces", json!({"sub": " 2 ", "exp": later})),
    ];
    for (why, claims) in odd {
        refused(&clients, why, &json!(2), sign(&claims).into());
    }
}

#[test]
fn odd_facilitator_ids_are_refused_even_with_a_token_to_match() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let long = "9".repeat(1000);
    for id in [long.as_str(), "a\u{0}b", "a\nb", "a\u{7f}"] {
        let token = sign(&json!({"sub": id, "exp": in_seconds(3600)}));
        let page = clients.stranger();
        page.emit("facilitator_connect", json!({"facilitator_id": id, "token": token}));
        assert!(page.hear("auth_error")["error"].is_string(), "{id:?}");
        assert!(page.heard("facilitator_auth_success").is_empty(), "{id:?}");
    }
    let page = clients.stranger();
    page.emit("facilitator_connect", json!({"token": user_token(2)}));
    assert_eq!(page.hear("auth_error")["error"], "Facilitator ID required");
    page.emit("facilitator_connect", json!({"facilitator_id": null, "token": user_token(2)}));
    assert_eq!(page.hear("auth_error")["error"], "Facilitator ID required");
    assert_eq!(server.stats()["online_facilitators"], 0);
}
