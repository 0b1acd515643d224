//! Every event of the namespace. What is not listed here is neither listened to nor told, and
//! `asyncapi` describes each.

macro_rules! events {
    ($(#[$about:meta])* $list:ident { $($(#[doc = $said:literal])+ $event:ident $name:literal;)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $list {
            $($(#[doc = $said])+ $event,)*
        }

        impl $list {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$event),*];

            /// As it is written.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$event => $name,)*
                }
            }

            /// What it is for.
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$event => concat!($($said),+).trim_ascii(),)*
                }
            }
        }
    };
}

events! {
    /// What clients say.
    Said {
        /// A back end books.
        BookingNotification "booking_notification";
        /// A facilitator has looked at one.
        MarkNotificationRead "mark_notification_read";
        /// A facilitator's page wants the list.
        GetPendingNotifications "get_pending_notifications";
        /// A facilitator's page proves whose it is.
        FacilitatorConnect "facilitator_connect";
        /// A back end proves what it is.
        BackendConnect "backend_connect";
        /// Renews a token; begins a feed on a socket that nobody has spoken through.
        Authenticate "authenticate";
        /// This device has it.
        Ack "ack";
        /// Somebody has looked at it.
        Read "read";
        /// The person wants what they missed.
        RequestMissedNotifications "requestMissedNotifications";
        /// The person wants to hear of topics.
        Subscribe "subscribe";
        /// The person wants to hear of topics no longer.
        Unsubscribe "unsubscribe";
        /// The person's wishes: which ways of delivery, and when.
        UpdatePreferences "updatePreferences";
    }
}

events! {
    /// What clients are told.
    Told {
        /// A connection has come.
        ConnectionResponse "connection_response";
        /// A back end is known.
        BackendAuthSuccess "backend_auth_success";
        /// A facilitator is known.
        FacilitatorAuthSuccess "facilitator_auth_success";
        /// A feed begins, or a token was renewed.
        Authenticated "authenticated";
        /// A token proves too little, or has expired.
        AuthError "auth_error";
        /// A booking is durable, and a socket of its facilitator was there.
        NotificationDelivered "notification_delivered";
        /// A booking is durable, and waits for its facilitator.
        NotificationStored "notification_stored";
        /// A booking was refused.
        NotificationError "notification_error";
        /// Something else was refused.
        Error "error";
        /// A booking, live.
        NewBookingNotification "new_booking_notification";
        /// Bookings that are neither confirmed nor read.
        PendingNotifications "pending_notifications";
        /// A facilitator has looked at one.
        NotificationMarkedRead "notification_marked_read";
        /// A notification of any kind.
        Notification "notification";
        /// How far a notification got, with the person or with its recipient.
        NotificationStatus "notificationStatus";
        /// What the person hears of from now on.
        Subscribed "subscribed";
        /// What the person hears of no longer.
        Unsubscribed "unsubscribed";
        /// What the person wishes now.
        PreferencesUpdated "preferencesUpdated";
    }
}

impl Said {
    /// The event of this name, if anybody listens to it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.name() == name)
    }
}
