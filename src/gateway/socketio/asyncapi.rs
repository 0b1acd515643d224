//! The events described for programs (AsyncAPI 3.0), made from their table and the shapes of their payloads.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::events::{Said, Told};
use super::wire::{self, booking, feed};

const VERSION: &str = "3.0.0";
/// A client's CONNECT packet, and the refusal of it, are no events, but they are messages.
const CONNECT: &str = "connect";
const CONNECT_ERROR: &str = "connect_error";

/// A refused CONNECT, as the library behind the engine writes it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
struct ConnectError {
    /// What happened: `Authentication failed`, `Too many connections`.
    message: String,
}

type Schemas = Vec<(String, RefOr<Schema>)>;

/// A reference to this shape, which joins `schemas` with all that it consists of.
fn shape<T: ToSchema>(schemas: &mut Schemas) -> Value {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
    json!({"$ref": format!("#/components/schemas/{}", T::name())})
}

fn said(event: Said, schemas: &mut Schemas) -> Value {
    match event {
        Said::BookingNotification => shape::<booking::BookingIn<'_>>(schemas),
        Said::MarkNotificationRead => shape::<booking::Looked<'_>>(schemas),
        Said::GetPendingNotifications => shape::<booking::Whose<'_>>(schemas),
        Said::FacilitatorConnect => shape::<booking::Facilitator<'_>>(schemas),
        Said::BackendConnect | Said::Authenticate => shape::<wire::Token<'_>>(schemas),
        Said::Ack | Said::Read => shape::<feed::Which<'_>>(schemas),
        Said::RequestMissedNotifications => shape::<feed::Missed<'_>>(schemas),
        Said::Subscribe | Said::Unsubscribe => shape::<feed::Subscribe<'_>>(schemas),
        Said::UpdatePreferences => shape::<feed::Wishes>(schemas),
    }
}

fn told(event: Told, schemas: &mut Schemas) -> Value {
    match event {
        Told::ConnectionResponse => shape::<wire::Connected<'_>>(schemas),
        Told::BackendAuthSuccess | Told::FacilitatorAuthSuccess => {
            shape::<booking::Authenticated<'_>>(schemas)
        }
        Told::Authenticated => shape::<feed::Welcome<'_>>(schemas),
        Told::AuthError | Told::NotificationError | Told::Error => shape::<wire::Failure<'_>>(schemas),
        Told::NotificationDelivered | Told::NotificationStored => shape::<booking::Accepted<'_>>(schemas),
        Told::NewBookingNotification => shape::<booking::NewBooking<'_>>(schemas),
        Told::PendingNotifications => shape::<booking::Pending>(schemas),
        Told::NotificationMarkedRead => shape::<booking::MarkedRead>(schemas),
        Told::Notification => shape::<feed::Shown<'_>>(schemas),
        Told::NotificationStatus => shape::<feed::Stands<'_>>(schemas),
        Told::Subscribed | Told::Unsubscribed => shape::<feed::Channels>(schemas),
        Told::PreferencesUpdated => shape::<feed::Chosen<'_>>(schemas),
    }
}

/// What an event is answered with; the ack callback gets the payload of the same.
const fn answers(event: Said) -> &'static [Told] {
    match event {
        Said::BookingNotification => {
            &[Told::NotificationDelivered, Told::NotificationStored, Told::NotificationError, Told::Error]
        }
        Said::MarkNotificationRead => &[Told::NotificationMarkedRead, Told::Error],
        Said::GetPendingNotifications => &[Told::PendingNotifications, Told::Error],
        Said::FacilitatorConnect => &[Told::FacilitatorAuthSuccess, Told::AuthError],
        Said::BackendConnect => &[Told::BackendAuthSuccess, Told::AuthError],
        Said::Authenticate => &[Told::Authenticated, Told::AuthError, Told::Error],
        Said::Ack | Said::Read => &[Told::NotificationStatus, Told::Error],
        // The ack callback gets the count.
        Said::RequestMissedNotifications => &[Told::Notification, Told::Error],
        Said::Subscribe => &[Told::Subscribed, Told::Error],
        Said::Unsubscribe => &[Told::Unsubscribed, Told::Error],
        Said::UpdatePreferences => &[Told::PreferencesUpdated, Told::Error],
    }
}

fn message(name: &str, about: &str, payload: Value) -> Value {
    json!({"name": name, "title": name, "summary": about, "contentType": "application/json", "payload": payload})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/channels/namespace/messages/{name}")})
}

fn operation(action: &str, about: &str, name: &str) -> Value {
    let channel = json!({"$ref": "#/channels/namespace"});
    json!({"action": action, "channel": channel, "summary": about, "messages": [reference(name)]})
}

fn replied(mut operation: Value, answers: &[Value], ack: Value) -> Value {
    operation["reply"] = json!({"channel": {"$ref": "#/channels/namespace"}, "messages": answers});
    operation["x-ack"] = ack;
    operation
}

/// The description.
pub fn description() -> Value {
    let (mut schemas, mut messages, mut operations) = (Schemas::new(), Map::new(), Map::new());
    let (about, refused) = ("A client comes, and may show a token.", "A client may not come.");
    let handshake = shape::<feed::Handshake<'_>>(&mut schemas);
    messages.insert(CONNECT.to_owned(), message(CONNECT, about, handshake));
    let refusal = shape::<ConnectError>(&mut schemas);
    messages.insert(CONNECT_ERROR.to_owned(), message(CONNECT_ERROR, refused, refusal));
    let welcomes =
        [Told::ConnectionResponse.name(), Told::Authenticated.name(), CONNECT_ERROR].map(reference);
    let mut connect = operation("receive", about, CONNECT);
    connect["reply"] = json!({"channel": {"$ref": "#/channels/namespace"}, "messages": welcomes});
    operations.insert(CONNECT.to_owned(), connect);
    for event in Told::ALL {
        let payload = told(*event, &mut schemas);
        messages.insert(event.name().to_owned(), message(event.name(), event.about(), payload));
        operations.insert(event.name().to_owned(), operation("send", event.about(), event.name()));
    }
    for event in Said::ALL {
        let payload = said(*event, &mut schemas);
        messages.insert(event.name().to_owned(), message(event.name(), event.about(), payload));
        let names: Vec<_> = answers(*event).iter().map(|answer| reference(answer.name())).collect();
        let mut acks: Vec<_> = match event {
            Said::RequestMissedNotifications => vec![shape::<feed::Count>(&mut schemas)],
            _ => Vec::new(),
        };
        let told_so = answers(*event).iter().filter(|answer| **answer != Told::Notification);
        acks.extend(told_so.map(|answer| told(*answer, &mut schemas)));
        acks.dedup();
        let receives = operation("receive", event.about(), event.name());
        operations.insert(event.name().to_owned(), replied(receives, &names, json!({"anyOf": acks})));
    }
    document(&messages, &operations, schemas)
}

fn document(messages: &Map<String, Value>, operations: &Map<String, Value>, schemas: Schemas) -> Value {
    let named =
        messages.keys().map(|name| (name.clone(), json!({"$ref": format!("#/components/messages/{name}")})));
    let schemas: Map<_, _> = schemas
        .into_iter()
        .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default()))
        .collect();
    json!({
        "asyncapi": VERSION,
        "info": {
            "title": "Carillon",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The events of the Socket.IO namespace `/`: a booking protocol and a feed. Each event has one \
                argument. What `x-ack` describes is what an ack callback gets, if the client gave one. What its words \
                mean: docs/PROTOCOLS.md.",
            "license": {"name": "MIT"}
        },
        "defaultContentType": "application/json",
        "servers": {
            "carillon": {
                "host": "localhost:5002",
                "pathname": "/socket.io/",
                "protocol": "socket.io",
                "protocolVersion": "5",
                "security": [{"$ref": "#/components/securitySchemes/token"}]
            }
        },
        "channels": {
            "namespace": {
                "address": "/",
                "description": "The default namespace.",
                "messages": named.collect::<Map<_, _>>()
            }
        },
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "user",
                    "description": "A JSON Web Token of a user in the handshake, `auth.token`; or later, by an event."
                }
            }
        }
    })
}
