//! The IEP's words: what a browser's own `subscription.toJSON()` says.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::domain::Broken;
use crate::http::values;
use crate::store::NewDevice;

/// A browser's subscription, as it writes it itself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = BrowserSubscription)]
pub struct SubscriptionIn {
    /// Where the browser's push service takes messages.
    #[schema(max_length = 2_048)]
    endpoint: String,
    /// When it ends, as the browser says; when it really does, its push service says so.
    #[serde(default, rename = "expirationTime")]
    #[schema(value_type = Option<f64>)]
    _expiration_time: Option<Value>,
    keys: KeysIn,
    /// What the browser calls itself.
    user_agent: Option<String>,
    /// What the page says of the device: an object of at most 2,048 bytes.
    #[schema(value_type = Option<Object>)]
    device_info: Option<Value>,
}

/// Its keys.
#[derive(Deserialize, ToSchema)]
#[serde(expecting = "a JSON object")]
#[schema(as = BrowserKeys)]
struct KeysIn {
    /// The public key, in base64url.
    p256dh: String,
    /// The secret, in base64url.
    auth: String,
}

impl SubscriptionIn {
    /// The device.
    ///
    /// # Errors
    /// When it is none.
    pub fn device(self) -> Result<NewDevice, Broken> {
        let Self { endpoint, keys, user_agent, device_info, .. } = self;
        values::device(&endpoint, (&keys.p256dh, "p256dh"), (&keys.auth, "auth"), user_agent, device_info)
    }
}

/// The browser that is to get nothing any more.
#[derive(Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = BrowserUnsubscribe)]
#[into_params(parameter_in = Query)]
pub struct UnsubscribeIn {
    /// Its endpoint.
    pub endpoint: String,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = BrowserStatus)]
pub struct StatusOut {
    /// `subscribed`, `unsubscribed`.
    pub status: &'static str,
    /// The subscription's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_id: Option<i64>,
}
