//! A caller of the REST API, with a token.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{BACKEND_TOKEN, Reply, Server, call, in_seconds, sign, user_token};

/// Whoever shows one token.
#[derive(Clone)]
pub struct Rest {
    address: SocketAddr,
    token: String,
    key: Option<String>,
}

impl Rest {
    /// By any token.
    pub fn by(server: &Server, token: &str) -> Self {
        Self { address: server.address, token: token.to_owned(), key: None }
    }

    /// A person.
    pub fn user(server: &Server, id: u64) -> Self {
        Self::by(server, &user_token(id))
    }

    /// The back end, by its static token.
    pub fn backend(server: &Server) -> Self {
        Self::by(server, BACKEND_TOKEN)
    }

    /// Whoever these claims are about.
    pub fn claiming(server: &Server, mut claims: Value) -> Self {
        claims["exp"] = json!(in_seconds(3600));
        Self::by(server, &sign(&claims))
    }

    /// What it shows.
    pub fn token(&self) -> String {
        self.token.clone()
    }

    /// The same, with an idempotency key.
    pub fn keyed(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    pub fn call(&self, method: &str, path: &str, body: Option<&str>) -> Reply {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("Authorization", bearer.as_str())];
        headers.extend(self.key.as_deref().map(|key| ("Idempotency-Key", key)));
        call(self.address, method, path, &headers, body)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.call("POST", path, Some(&body.to_string()))
    }

    pub fn put(&self, path: &str, body: &Value) -> Reply {
        self.call("PUT", path, Some(&body.to_string()))
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.call("DELETE", path, None)
    }

    /// Sends, and returns what it was answered.
    #[track_caller]
    pub fn send(&self, notification: &Value) -> Value {
        self.post("/api/v1/notifications", notification).expect(201)
    }

    /// The titles in the inbox, newest first.
    #[track_caller]
    pub fn titles(&self) -> Vec<String> {
        let page = self.get("/api/v1/notifications?limit=100").expect(200);
        let notifications = page["notifications"].as_array().expect("a list").iter();
        notifications.map(|one| one["title"].as_str().expect("a title").to_owned()).collect()
    }
}

/// A notification for this user.
pub fn note(user: u64, title: &str) -> Value {
    json!({"user_id": user, "type": "note", "title": title})
}

/// Quiet hours around the present that end some hours from now.
pub fn quiet_now() -> Value {
    quiet_until(in_seconds(0) / 60 + 120)
}

/// Quiet hours that end at this minute since 1970, and began four hours before.
pub fn quiet_until(end: i64) -> Value {
    let time = |minutes: i64| format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60);
    json!({"start": time(end - 240), "end": time(end)})
}
