//! People as they are written.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Broken, Contacts, ContactsChange, Email, Guardian, Phone, Recipient, read_from_objects};
use crate::http::values;

/// Where somebody can be reached; what is not named stays, `null` takes it away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = ContactsChange)]
pub struct ContactsIn {
    /// One e-mail address.
    #[serde(default, deserialize_with = "values::nullable")]
    #[schema(value_type = Option<String>)]
    email: Option<Option<String>>,
    /// One telephone number, with its country's code: `+14155550123`.
    #[serde(default, deserialize_with = "values::nullable")]
    #[schema(value_type = Option<String>)]
    phone: Option<Option<String>>,
    /// The language they read: `es-MX`.
    #[serde(default, deserialize_with = "values::nullable")]
    #[schema(value_type = Option<String>)]
    locale: Option<Option<String>>,
    /// Whether they are a minor: then e-mails and text messages go to their guardian, or nowhere. For services to say.
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false)]
    is_minor: Option<bool>,
    /// Who is reached in a minor's place; `null` takes it away. For services to say.
    #[serde(default, deserialize_with = "values::nullable")]
    #[schema(value_type = Option<GuardianIn>)]
    guardian: Option<Option<GuardianIn>>,
}

/// Where a minor's guardian can be reached.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default, remote = "Self", expecting = "a JSON object")]
#[schema(as = GuardianChange)]
#[derive(Default)]
pub struct GuardianIn {
    /// One e-mail address.
    email: Option<String>,
    /// One telephone number, with its country's code.
    phone: Option<String>,
}

read_from_objects!(GuardianIn);

impl ContactsIn {
    /// The change.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn change(self) -> Result<ContactsChange, Broken> {
        let guardian = self.guardian.map(Option::unwrap_or_default);
        let guardian = guardian.map(|GuardianIn { email, phone }| (email, phone));
        ContactsChange::new(self.email, self.phone, self.locale)?.guarded(self.is_minor, guardian)
    }
}

/// Somebody, and where they can be reached.
#[derive(Serialize, ToSchema)]
#[schema(as = Recipient)]
pub struct RecipientOut {
    user_id: String,
    email: Option<String>,
    phone: Option<String>,
    locale: Option<String>,
    /// Whether that number wants no more text messages (STOP). Another number is asked anew.
    sms_stopped: bool,
    /// Whether they are a minor.
    is_minor: bool,
    /// Who is reached in their place, if they are.
    guardian: Option<GuardianOut>,
}

/// Where a minor's guardian can be reached.
#[derive(Serialize, ToSchema)]
#[schema(as = Guardian)]
struct GuardianOut {
    email: Option<String>,
    phone: Option<String>,
}

impl RecipientOut {
    /// Somebody.
    pub fn new(of: &Recipient, contacts: &Contacts) -> Self {
        Self {
            user_id: of.user.as_str().to_owned(),
            email: contacts.email.as_ref().map(|email| Email::expose(email).to_owned()),
            phone: contacts.phone.as_ref().map(|phone| Phone::expose(phone).to_owned()),
            locale: contacts.locale.clone(),
            sms_stopped: contacts.has_stopped,
            is_minor: contacts.is_minor,
            guardian: (contacts.guardian != Guardian::default()).then(|| GuardianOut {
                email: contacts.guardian.email.as_ref().map(|email| email.expose().to_owned()),
                phone: contacts.guardian.phone.as_ref().map(|phone| phone.expose().to_owned()),
            }),
        }
    }
}
