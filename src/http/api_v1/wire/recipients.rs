//! People as they are written.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Broken, Contacts, ContactsChange, Email, Phone, Recipient};
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
}

impl ContactsIn {
    /// The change.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn change(self) -> Result<ContactsChange, Broken> {
        ContactsChange::new(self.email, self.phone, self.locale)
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
        }
    }
}
