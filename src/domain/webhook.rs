//! What a tenant's own programs can be told of.

macro_rules! events {
    ($($(#[$about:meta])* $name:ident: $word:literal;)*) => {
        /// What may become of a notification, for those who want to be told.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum WebhookEvent {
            $($(#[$about])* $name,)*
        }

        impl WebhookEvent {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

events! {
    /// A provider took it: an e-mail, a push, a text message.
    Sent: "notification.sent";
    /// It has arrived: a device confirmed it, or a provider says so.
    Delivered: "notification.delivered";
    /// It was given up over one channel.
    Failed: "notification.failed";
    /// Its recipient has looked at it.
    Read: "notification.read";
    /// Something that those who keep watch should hear of; for administrators, who ask for it by name.
    SecurityAlert: "security.alert";
}

/// What is sent to try an address out; nobody has to want it.
pub const TEST_EVENT: &str = "webhook.test";

impl WebhookEvent {
    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name() {
        for event in WebhookEvent::ALL {
            assert_eq!(WebhookEvent::named(event.name()), Some(*event));
        }
        assert_eq!(WebhookEvent::named(TEST_EVENT), None);
    }
}
