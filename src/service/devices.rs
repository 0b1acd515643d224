//! Browsers that take pushes: people register their own.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::json;

use super::Error;
use crate::access::Vapid;
use crate::delivery::channel::web_push;
use crate::delivery::outbound::Outbound;
use crate::domain::{Action, Broken, Clock, Deed, QuietHours, Recipient, is_name};
use crate::store::{DeviceWrite, NewDevice, Registered, Store, StoreError, WhichDevice, Write, Written};

/// Bytes of what a browser calls itself, and of what a page says of a device.
const LONGEST_AGENT: usize = 512;
const LONGEST_INFO: usize = 2_048;
/// Types that one device may name.
const MOST_KINDS: usize = 100;

/// What one device is to get; what is not named stays.
#[derive(Clone, Debug, Default)]
pub struct DeviceWishes {
    /// The types; `None` within: all.
    pub kinds: Option<Option<Vec<String>>>,
    /// When it is to be left alone; `None` within: never.
    pub quiet_hours: Option<Option<QuietHours>>,
}

/// Devices.
pub struct Devices {
    store: Arc<Store>,
    outbound: Arc<Outbound>,
    vapid: Option<Arc<Vapid>>,
    is_heard: bool,
    clock: Arc<dyn Clock>,
    most: i64,
}

impl Devices {
    /// Kept in `store`; each person may have `most`. They are pushed to by `outbound`, signed by `vapid`; or, without keys, by
    /// somebody else, if `is_heard`.
    pub fn new(
        store: Arc<Store>,
        outbound: Arc<Outbound>,
        vapid: Option<Arc<Vapid>>,
        is_heard: bool,
        clock: Arc<dyn Clock>,
        most: i64,
    ) -> Self {
        Self { store, outbound, vapid, is_heard, clock, most }
    }

    /// The key that pages show to their browsers' push services.
    ///
    /// # Errors
    /// When there is none.
    pub fn public_key(&self) -> Result<&str, Error> {
        self.vapid.as_ref().map(|vapid| vapid.public_key()).ok_or(Error::NoPushKeys)
    }

    fn deed(&self, of: &Recipient, action: Action, detail: &serde_json::Value, from: Option<IpAddr>) -> Deed {
        Deed {
            at: self.clock.now(),
            tenant: of.tenant.clone(),
            actor: Some(of.user.as_str().to_owned()),
            action,
            subject: Some(of.user.as_str().to_owned()),
            detail: detail.to_string(),
            address: from,
        }
    }

    /// Registers a device of `recipient`, whoever it belonged to before; durable on return. Returns its number.
    ///
    /// # Errors
    /// When nothing could be sent to it or to any, there are too many, or it could not be stored.
    pub async fn register(
        &self,
        recipient: &Recipient,
        mut new: NewDevice,
        from: Option<IpAddr>,
    ) -> Result<i64, Error> {
        if !self.is_heard {
            return Err(Error::NoPushKeys);
        }
        web_push::check(&new.device, &self.outbound)?;
        if new.info.as_ref().is_some_and(|info| info.len() > LONGEST_INFO) {
            return Err(Broken { field: "device_info", expected: "an object of at most 2,048 bytes" }.into());
        }
        // Browsers call themselves what they like.
        new.user_agent = new.user_agent.map(|agent| {
            let plain = agent.chars().filter(|sign| !sign.is_control());
            plain
                .scan(0, |bytes, sign| {
                    *bytes += sign.len_utf8();
                    (*bytes <= LONGEST_AGENT).then_some(sign)
                })
                .collect()
        });
        let host = self.outbound.suitable(&new.device.endpoint).ok();
        let host = host.and_then(|url| url.host_str().map(str::to_owned));
        let deed = self.deed(recipient, Action::DeviceAdd, &json!({"push_service": host}), from);
        let write = DeviceWrite::Register { recipient: recipient.clone(), new, most: self.most, deed };
        match self.store.write(Write::Device(Arc::new(write))).await? {
            Written::Device(Some(id)) => Ok(id),
            Written::Device(None) => Err(Error::TooManyDevices(self.most)),
            _ => Err(Error::Store(StoreError::Closed)),
        }
    }

    /// The devices of `recipient`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn of(&self, recipient: &Recipient) -> Result<Vec<Registered>, Error> {
        Ok(self.store.devices(recipient).await?)
    }

    /// Changes what a device of `recipient`'s is to get; durable on return. Returns how it is now.
    ///
    /// # Errors
    /// When it breaks a rule, they have none such, or it could not be stored.
    pub async fn change(
        &self,
        recipient: &Recipient,
        id: i64,
        wishes: DeviceWishes,
        from: Option<IpAddr>,
    ) -> Result<Registered, Error> {
        let DeviceWishes { kinds, quiet_hours } = wishes;
        if kinds
            .iter()
            .flatten()
            .any(|kinds| kinds.len() > MOST_KINDS || !kinds.iter().all(|kind| is_name(kind)))
        {
            let expected = "at most 100 names of 1 to 128 bytes, or null for all types";
            return Err(Broken { field: "types", expected }.into());
        }
        let detail = json!({"device": id, "types": kinds.is_some(), "quiet_hours": quiet_hours.is_some()});
        let deed = self.deed(recipient, Action::DeviceChange, &detail, from);
        let write = DeviceWrite::Change { recipient: recipient.clone(), id, kinds, quiet_hours, deed };
        let Written::Device(Some(id)) = self.store.write(Write::Device(Arc::new(write))).await? else {
            return Err(Error::NoSuchDevice);
        };
        let all = self.of(recipient).await?;
        all.into_iter().find(|one| one.device.id == id).ok_or(Error::NoSuchDevice)
    }

    /// Takes a device of `recipient`'s away; durable on return.
    ///
    /// # Errors
    /// When they have none such, or it could not be stored.
    pub async fn remove(
        &self,
        recipient: &Recipient,
        which: WhichDevice,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        let detail = match &which {
            WhichDevice::Number(id) => json!({"device": id}),
            // No database looks for such a text.
            WhichDevice::Endpoint(endpoint) if endpoint.contains('\0') => return Err(Error::NoSuchDevice),
            WhichDevice::Endpoint(_) => json!({}),
        };
        let deed = self.deed(recipient, Action::DeviceRemove, &detail, from);
        let write = DeviceWrite::Remove { recipient: recipient.clone(), which, deed };
        match self.store.write(Write::Device(Arc::new(write))).await? {
            Written::Changed(1..) => Ok(()),
            _ => Err(Error::NoSuchDevice),
        }
    }
}
