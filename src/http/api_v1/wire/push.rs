//! Devices as they are written.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::{Broken, QuietHours, Timestamp};
use crate::http::values::{self, Label};
use crate::service::DeviceWishes;
use crate::store::{NewDevice, Registered};

/// A browser's subscription, in the hub's words.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = PushSubscribe)]
pub struct DeviceIn {
    /// Where the browser's push service takes messages.
    #[schema(max_length = 2_048)]
    endpoint: String,
    /// Its public key, in base64 of either kind.
    p256dh_key: String,
    /// Its secret, in base64 of either kind.
    auth_key: String,
    /// What the browser calls itself.
    user_agent: Option<String>,
    /// What the page says of the device: an object of at most 2,048 bytes.
    #[schema(value_type = Option<Object>)]
    device_info: Option<Value>,
}

impl DeviceIn {
    /// The device.
    ///
    /// # Errors
    /// When it is none.
    pub fn device(self) -> Result<NewDevice, Broken> {
        values::device(
            &self.endpoint,
            (&self.p256dh_key, "p256dh_key"),
            (&self.auth_key, "auth_key"),
            self.user_agent,
            self.device_info,
        )
    }
}

/// A device that was registered.
#[derive(Serialize, ToSchema)]
#[schema(as = PushSubscribed)]
pub struct DeviceRegisteredOut {
    /// Its number.
    pub id: i64,
    /// `subscribed`.
    pub status: &'static str,
}

/// What one device is to get; what is not named stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = PushSubscriptionChange)]
pub struct DeviceChangeIn {
    /// The types of notification; `null`: all.
    #[serde(default, deserialize_with = "values::nullable")]
    #[schema(value_type = Option<Vec<Label>>, max_items = 100)]
    types: Option<Option<Vec<String>>>,
    /// When it is to be left alone, by its owner's time zone; `null`: never. What is urgent passes.
    #[serde(default, deserialize_with = "values::nullable")]
    #[schema(value_type = Option<QuietHours>)]
    quiet_hours: Option<Option<QuietHours>>,
}

impl From<DeviceChangeIn> for DeviceWishes {
    fn from(DeviceChangeIn { types, quiet_hours }: DeviceChangeIn) -> Self {
        Self { kinds: types, quiet_hours }
    }
}

/// A device; its keys are not told.
#[derive(Serialize, ToSchema)]
#[schema(as = PushSubscription)]
pub struct DeviceOut {
    id: i64,
    endpoint: String,
    user_agent: Option<String>,
    #[schema(value_type = Option<Object>)]
    device_info: Option<Box<RawValue>>,
    /// The types of notification that it gets; null: all.
    types: Option<Vec<String>>,
    /// When it is left alone.
    quiet_hours: Option<QuietHours>,
    created_at: Timestamp,
    /// When its push service took something for it last.
    last_ok_at: Option<Timestamp>,
    /// How often in a row it has taken nothing since.
    failures: i32,
}

impl From<Registered> for DeviceOut {
    fn from(of: Registered) -> Self {
        Self {
            id: of.device.id,
            endpoint: of.device.endpoint,
            user_agent: of.user_agent,
            device_info: of.info.and_then(values::data),
            types: of.kinds,
            quiet_hours: of.quiet_hours,
            created_at: of.created_at,
            last_ok_at: of.last_ok_at,
            failures: of.failures,
        }
    }
}

/// All of somebody's.
#[derive(Serialize, ToSchema)]
#[schema(as = PushSubscriptions)]
pub struct DevicesOut {
    /// In the order in which they were registered.
    pub subscriptions: Vec<DeviceOut>,
}

/// The key that a page shows to its browser's push service.
#[derive(Serialize, ToSchema)]
#[schema(as = PushKey)]
pub struct PushKeyOut {
    /// `applicationServerKey`, in base64url.
    pub public_key: String,
}
