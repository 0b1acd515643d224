//! Tables that stand apart from the notifications: who is told what becomes of them, and what is counted of them.

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::sealing::{WebhookSecret, WebhookUrl};
    use crate::store::types::Instant;

    webhooks (id) {
        id -> BigInt,
        tenant -> Text,
        url -> WebhookUrl,
        description -> Text,
        events -> Nullable<Text>,
        is_enabled -> Integer,
        disabled_why -> Nullable<Text>,
        secret -> WebhookSecret,
        former_secret -> Nullable<WebhookSecret>,
        former_until -> Nullable<Instant>,
        failing_since -> Nullable<Instant>,
        created_at -> Instant,
        updated_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{Instant, Uuid128};

    webhook_messages (id) {
        id -> BigInt,
        uuid -> Uuid128,
        webhook_id -> BigInt,
        event -> Text,
        data -> Text,
        happened_at -> Instant,
        state -> Integer,
        due_at -> Instant,
        attempt -> Integer,
        since -> Integer,
        reason -> Nullable<Text>,
        finished_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    webhook_attempts (id) {
        id -> BigInt,
        message_id -> BigInt,
        attempt -> Integer,
        at -> Instant,
        took_ms -> Integer,
        state -> Integer,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    sealing (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    analytics (id) {
        id -> BigInt,
        tenant -> Text,
        hour -> BigInt,
        channel -> Integer,
        kind -> Text,
        outcome -> Integer,
        many -> BigInt,
        millis -> BigInt,
    }
}

diesel::table! {
    analytics_latencies (id) {
        id -> BigInt,
        tenant -> Text,
        hour -> BigInt,
        channel -> Integer,
        class -> Integer,
        many -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    analytics_place (id) {
        id -> BigInt,
        counted -> BigInt,
        announced -> BigInt,
        candidate -> BigInt,
        candidate_at -> Instant,
    }
}

diesel::table! {
    analytics_changes (id) {
        id -> BigInt,
        notification_id -> BigInt,
        tenant -> Text,
        hour -> BigInt,
        channel -> Integer,
        kind -> Text,
        outcome -> Integer,
        millis -> Nullable<BigInt>,
        many -> BigInt,
    }
}

diesel::joinable!(webhook_messages -> webhooks (webhook_id));
diesel::allow_tables_to_appear_in_same_query!(webhook_messages, webhooks);
