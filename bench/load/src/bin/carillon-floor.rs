//! What a fan-out costs at least: an axum server of WebSockets, whose only work is to write a frame that was prepared once
//! for all. It checks nothing, stores nothing, and forgets who comes too late. `POST /emit` makes the frame and sends it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::broadcast::{Receiver, Sender, channel};

/// Frames that a socket may be behind.
const BUFFER: usize = 64;

type Room = Arc<Sender<Utf8Bytes>>;

fn main() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve())
}

async fn serve() -> Result<()> {
    let room: Room = Arc::new(channel(BUFFER).0);
    let router = Router::new().route("/ws/notify", get(open)).route("/emit", post(emit)).with_state(room);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", json!({ "message": "listening", "address": listener.local_addr()? }));
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        stream.set_nodelay(true).ok();
    });
    Ok(axum::serve(listener, router).await?)
}

async fn open(State(room): State<Room>, upgrade: WebSocketUpgrade) -> Response {
    let frames = room.subscribe();
    upgrade.on_upgrade(|socket| write(socket, frames))
}

async fn write(mut socket: WebSocket, mut frames: Receiver<Utf8Bytes>) {
    while let Ok(frame) = frames.recv().await {
        if socket.send(Message::Text(frame)).await.is_err() {
            return;
        }
    }
}

/// The same message as Carillon's `/ws/notify` makes of it.
async fn emit(State(room): State<Room>, body: String) -> StatusCode {
    let Ok(mut sent) = serde_json::from_str::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    let number = sent["data"]["number"].to_string();
    for name in ["title", "message"] {
        sent["data"][name] = sent[name].clone();
    }
    for (name, value) in
        [("id", "01a1feb3-1669-778c-8b44-b0016721f715"), ("notification_type", "news"), ("priority", "medium")]
    {
        sent["data"][name] = value.into();
    }
    let frame = json!({
        "id": sent["data"]["id"], "type": "notification", "title": sent["title"], "message": sent["message"],
        "data": sent["data"], "timestamp": "2026-11-21T15:21:51.976Z", "replay_id": number, "user_id": "1",
    });
    room.send(frame.to_string().into()).ok();
    StatusCode::CREATED
}
