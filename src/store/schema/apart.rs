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

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    consents (id) {
        id -> BigInt,
        tenant -> Text,
        recipient_id -> BigInt,
        channel -> Integer,
        kind -> Text,
        is_given -> Integer,
        at -> Instant,
        how -> Text,
        actor -> Nullable<Text>,
        note -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    disclosures (id) {
        id -> BigInt,
        tenant -> Text,
        at -> Instant,
        about -> Text,
        recipient -> Text,
        actor -> Nullable<Text>,
        action -> Text,
        notification_id -> Nullable<BigInt>,
        kind -> Text,
    }
}

diesel::table! {
    audit_people (id) {
        id -> BigInt,
        tenant -> Text,
        name -> Text,
        secret -> Binary,
    }
}

diesel::table! {
    audit_seals (id) {
        id -> BigInt,
        hash -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    audit_chain (id) {
        id -> BigInt,
        sealed -> BigInt,
        head -> Binary,
        many -> BigInt,
        sealed_at -> Instant,
        removed -> BigInt,
        anchor -> Binary,
        gone -> BigInt,
        erasures -> BigInt,
        told -> BigInt,
    }
}

diesel::table! {
    traces (notification_id) {
        notification_id -> BigInt,
        parent -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    spent (id) {
        id -> BigInt,
        tenant -> Text,
        channel -> Integer,
        number_digest -> Nullable<Text>,
        person_digest -> Text,
        at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    declined (id) {
        id -> BigInt,
        person_digest -> Text,
        at -> Instant,
    }
}
