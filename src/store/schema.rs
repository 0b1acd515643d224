//! One description of the tables for both databases; `types.rs` maps what they spell differently.

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{Instant, Uuid128};

    notifications (id) {
        id -> BigInt,
        uuid -> Uuid128,
        tenant -> Text,
        kind -> Text,
        topic -> Text,
        title -> Text,
        message -> Text,
        data -> Text,
        idempotency_key -> Nullable<Binary>,
        request_digest -> Nullable<Binary>,
        created_at -> Instant,
    }
}

diesel::table! {
    recipients (id) {
        id -> BigInt,
        tenant -> Text,
        user_id -> Text,
        last_position -> BigInt,
        pending_after -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    inbox (recipient_id, position) {
        recipient_id -> BigInt,
        position -> BigInt,
        notification_id -> BigInt,
        sent_at -> Nullable<Instant>,
        confirmed_at -> Nullable<Instant>,
        confirmed_by -> Nullable<Text>,
        read_at -> Nullable<Instant>,
        deleted_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    connections (socket_id) {
        socket_id -> Text,
        node -> Text,
        tenant -> Text,
        user_id -> Text,
        connected_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    nodes (name) {
        name -> Text,
        seen_at -> Instant,
        senders -> BigInt,
    }
}

diesel::table! {
    deployment (name) {
        name -> Text,
    }
}

diesel::joinable!(inbox -> notifications (notification_id));
diesel::joinable!(inbox -> recipients (recipient_id));
diesel::allow_tables_to_appear_in_same_query!(
    connections,
    deployment,
    inbox,
    nodes,
    notifications,
    recipients
);
