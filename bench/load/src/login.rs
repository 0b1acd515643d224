//! Who connects: the back end with its static token, facilitators with an HS256 JWT. Promises: returns only when
//! the server has said yes.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::client::Client;

/// Known to both servers for the length of a round; they listen on loopback only.
pub const JWT_SECRET: &str = "benchmark-jwt-secret-benchmark-jwt-secret";
pub const BACKEND_TOKEN: &str = "benchmark-backend-token-benchmark-backend";

/// Connects and authenticates a back end.
pub async fn backend(server: SocketAddr, nth: u32) -> Result<Client> {
    let mut client = Client::connect(server, nth).await?;
    client.queue_event("backend_connect", &json!({ "token": BACKEND_TOKEN }).to_string());
    client.flush().await?;
    client.expect("backend_auth_success").await?;
    Ok(client)
}

/// Connects as a user whose token stands in the handshake.
pub async fn feed(server: SocketAddr, nth: u32, user: u64) -> Result<Client> {
    let mut client = Client::connect_with(server, nth, &json!({ "token": token(user) }).to_string()).await?;
    client.expect("authenticated").await?;
    Ok(client)
}

/// Opens a raw WebSocket as a user.
pub async fn raw(server: SocketAddr, nth: u32, user: u64) -> Result<Client> {
    Client::open(server, nth, &format!("/ws/notify?token={}", token(user))).await
}

/// Authenticates a connected client as a facilitator.
pub async fn facilitator(client: &mut Client, id: u64) -> Result<()> {
    let proof = json!({ "facilitator_id": id, "token": token(id) });
    client.queue_event("facilitator_connect", &proof.to_string());
    client.flush().await?;
    client.expect("facilitator_auth_success").await?;
    Ok(())
}

/// A token for the facilitator, or user, valid for an hour.
pub fn token(facilitator: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = json!({ "sub": facilitator.to_string(), "type": "access", "iat": now, "exp": now + 3600 });
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut mac = Hmac::<Sha256>::new_from_slice(JWT_SECRET.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}
