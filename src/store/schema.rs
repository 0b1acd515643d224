//! One description of the tables for both databases; `types.rs` maps what they spell differently.

mod apart;

pub use apart::*;

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::sealing::{ActionUrl, DataText, Message, Title, WishText};
    use crate::store::types::{Instant, Uuid128};

    notifications (id) {
        id -> BigInt,
        uuid -> Uuid128,
        tenant -> Text,
        kind -> Text,
        topic -> Text,
        title -> Title,
        message -> Message,
        data -> DataText,
        idempotency_key -> Nullable<Binary>,
        request_digest -> Nullable<Binary>,
        created_at -> Instant,
        priority -> Integer,
        action_url -> Nullable<ActionUrl>,
        sender -> Nullable<Text>,
        expires_at -> Nullable<Instant>,
        wish -> Nullable<WishText>,
    }
}

diesel::table! {
    subscriptions (tenant, topic, recipient_id) {
        tenant -> Text,
        topic -> Text,
        recipient_id -> BigInt,
    }
}

diesel::table! {
    roles (tenant, role, recipient_id) {
        tenant -> Text,
        role -> Text,
        recipient_id -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    expansions (notification_id) {
        notification_id -> BigInt,
        tenant -> Text,
        audience -> Text,
        due_at -> Instant,
        reached -> BigInt,
        recipients -> BigInt,
        chunks -> BigInt,
        finished_at -> Nullable<Instant>,
        present -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::sealing::ContactsText;

    recipients (id) {
        id -> BigInt,
        tenant -> Text,
        user_id -> Text,
        last_position -> BigInt,
        pending_after -> BigInt,
        preferences -> Nullable<Text>,
        contacts -> Nullable<ContactsText>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::sealing::{PushAuth, PushKey};
    use crate::store::types::Instant;

    push_subscriptions (id) {
        id -> BigInt,
        tenant -> Text,
        recipient_id -> BigInt,
        endpoint -> Text,
        p256dh -> PushKey,
        auth -> PushAuth,
        user_agent -> Nullable<Text>,
        device_info -> Nullable<Text>,
        kinds -> Nullable<Text>,
        quiet_hours -> Nullable<Text>,
        created_at -> Instant,
        last_ok_at -> Nullable<Instant>,
        failures -> Integer,
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
        hush -> Nullable<Integer>,
        hush_reason -> Nullable<Text>,
        expires_at -> Nullable<Instant>,
        sent_over -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    counts (recipient_id, kind, topic, priority) {
        recipient_id -> BigInt,
        kind -> Text,
        topic -> Text,
        priority -> Integer,
        upto -> BigInt,
        counted_at -> Instant,
        total -> BigInt,
        unread -> BigInt,
        read_upto -> BigInt,
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
        roles -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    nodes (name) {
        name -> Text,
        seen_at -> Instant,
        senders -> BigInt,
        keys -> Nullable<Text>,
    }
}

diesel::table! {
    deployment (name) {
        name -> Text,
        transfer -> Nullable<Text>,
        burned -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    deferrals (recipient_id) {
        recipient_id -> BigInt,
        due_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::sealing::{ActionUrl, DataText, Message, Title, WishText};
    use crate::store::types::Instant;

    recurring (id) {
        id -> BigInt,
        tenant -> Text,
        owner -> Text,
        idempotency_key -> Binary,
        request_digest -> Binary,
        cron -> Text,
        time_zone -> Text,
        starts_at -> Nullable<Instant>,
        ends_at -> Nullable<Instant>,
        next_at -> Nullable<Instant>,
        audience -> Text,
        kind -> Text,
        topic -> Text,
        title -> Title,
        message -> Message,
        data -> DataText,
        priority -> Integer,
        action_url -> Nullable<ActionUrl>,
        sender -> Nullable<Text>,
        created_at -> Instant,
        last_at -> Nullable<Instant>,
        last_notification_id -> Nullable<BigInt>,
        wish -> Nullable<WishText>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    recurrences (notification_id) {
        notification_id -> BigInt,
        recurring_id -> BigInt,
        due_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    audit_log (id) {
        id -> BigInt,
        at -> Instant,
        tenant -> Text,
        actor -> Nullable<Text>,
        action -> Text,
        subject -> Nullable<Text>,
        detail -> Text,
        address -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::{Instant, Uuid128};

    deliveries (id) {
        id -> BigInt,
        notification_id -> BigInt,
        recipient_id -> BigInt,
        position -> BigInt,
        tenant -> Text,
        channel -> Integer,
        step -> Integer,
        device_id -> Nullable<BigInt>,
        state -> Integer,
        due_at -> Instant,
        attempt -> Integer,
        since -> Integer,
        reason -> Nullable<Text>,
        provider -> Nullable<Text>,
        provider_id -> Nullable<Text>,
        number_digest -> Nullable<Text>,
        created_at -> Instant,
        finished_at -> Nullable<Instant>,
        retraction -> Integer,
        steps_from -> Nullable<Instant>,
        unanswered -> Integer,
        parcel_key -> Nullable<Uuid128>,
        to_guardian -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    delivery_attempts (delivery_id, attempt) {
        delivery_id -> BigInt,
        attempt -> Integer,
        at -> Instant,
        took_ms -> Integer,
        provider -> Text,
        state -> Integer,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    templates (id) {
        id -> BigInt,
        tenant -> Text,
        name -> Text,
        latest -> BigInt,
        current -> Nullable<BigInt>,
        created_at -> Instant,
        updated_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    template_versions (id) {
        id -> BigInt,
        tenant -> Text,
        name -> Text,
        version -> BigInt,
        sources -> Text,
        author -> Nullable<Text>,
        created_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    digest_subscriptions (recipient_id) {
        recipient_id -> BigInt,
        terms -> Text,
        next_at -> Nullable<Instant>,
        reached -> BigInt,
        created_at -> Instant,
        updated_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::sealing::DigestText;
    use crate::store::types::Instant;

    digests (id) {
        id -> BigInt,
        recipient_id -> BigInt,
        notification_id -> BigInt,
        frequency -> Text,
        date -> Text,
        after_position -> BigInt,
        upto_position -> BigInt,
        created_at -> Instant,
        content -> DigestText,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::store::types::Instant;

    stopped_numbers (id) {
        id -> BigInt,
        number_digest -> Text,
        stopped_at -> Instant,
    }
}

diesel::joinable!(digest_subscriptions -> recipients (recipient_id));
diesel::joinable!(deferrals -> recipients (recipient_id));
diesel::joinable!(deliveries -> notifications (notification_id));
diesel::joinable!(deliveries -> recipients (recipient_id));
diesel::joinable!(expansions -> notifications (notification_id));
diesel::joinable!(inbox -> notifications (notification_id));
diesel::joinable!(inbox -> recipients (recipient_id));
diesel::joinable!(roles -> recipients (recipient_id));
diesel::joinable!(subscriptions -> recipients (recipient_id));
diesel::allow_tables_to_appear_in_same_query!(template_versions, templates);
diesel::allow_tables_to_appear_in_same_query!(
    connections,
    counts,
    deferrals,
    deliveries,
    delivery_attempts,
    deployment,
    digest_subscriptions,
    expansions,
    inbox,
    nodes,
    notifications,
    push_subscriptions,
    recipients,
    roles,
    subscriptions
);
