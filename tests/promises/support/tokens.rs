//! Secrets of the tests, and tokens signed with them.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

pub const JWT_SECRET: &str = "a-secret-that-only-these-promises-know";
pub const BACKEND_TOKEN: &str = "the-back-end-token-of-these-promises";
pub const METRICS_TOKEN: &str = "the-metrics-token-of-these-promises";

/// Seconds since 1970, so many seconds from now.
pub fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    now.as_secs() as i64 + seconds
}

/// A facilitator's token as flask-jwt-extended issues it: the subject is a string.
pub fn user_token(id: u64) -> String {
    sign(&json!({"sub": id.to_string(), "type": "access", "exp": in_seconds(3600)}))
}

/// A service's token with the given scope.
pub fn service_token(scope: &str) -> String {
    sign(&json!({"sub": "booking-system", "scope": scope, "exp": in_seconds(3600)}))
}

pub fn sign(claims: &Value) -> String {
    sign_with(claims, JWT_SECRET, Algorithm::HS256)
}

pub fn sign_with(claims: &Value, secret: &str, algorithm: Algorithm) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes()))
        .expect("claims to sign")
}

/// A time in seconds since 1970 as the API writes it.
pub fn instant(seconds: i64) -> String {
    let at = chrono::DateTime::from_timestamp(seconds, 0).expect("a time");
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
