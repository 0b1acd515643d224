//! What providers say later of what they have taken.

use std::sync::Arc;
use std::time::Duration;

use super::Error;
use crate::delivery::channel::{Fate, TwilioCallbacks};
use crate::domain::Clock;
use crate::store::{ContactsWrite, Said, Store, Write, Written};

/// What a report tells of is looked for again after these.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

/// Reports of providers.
pub struct Reports {
    store: Arc<Store>,
    twilio: Option<Arc<TwilioCallbacks>>,
    clock: Arc<dyn Clock>,
}

impl Reports {
    /// Kept in `store`; `twilio` tells what is Twilio's.
    pub fn new(store: Arc<Store>, twilio: Option<Arc<TwilioCallbacks>>, clock: Arc<dyn Clock>) -> Self {
        Self { store, twilio, clock }
    }

    /// Takes what was posted, as Twilio's, to an address of this `name`; durable on return. The same once more changes
    /// nothing. Whether it was Twilio's.
    ///
    /// # Errors
    /// When it could not be stored.
    pub async fn twilio(
        &self,
        name: &str,
        form: &[(String, String)],
        signature: &str,
    ) -> Result<bool, Error> {
        let report = self.twilio.as_ref().and_then(|twilio| twilio.read(name, form, signature));
        let Some(report) = report else { return Ok(false) };
        let code = report.error.map_or_else(|| "no error code".to_owned(), |code| format!("error {code}"));
        let reason = format!("Twilio says that it did not arrive: {code}");
        let said = match report.fate {
            Fate::Pending => Said::Taken,
            Fate::Delivered => Said::Arrived,
            Fate::Failed => Said::Failed(reason),
            Fate::Stopped => Said::Stopped(reason),
        };
        let (provider, provider_id, at) = ("twilio", report.provider_id, self.clock.now());
        let key = report.key;
        let write = Arc::new(ContactsWrite::Reported { provider, provider_id, key, said, at });
        // What was handed over by an earlier version is not known by its key: it may be said sooner than it is noted.
        for pause in PAUSES {
            match self.store.write(Write::Reachable(write.clone())).await? {
                Written::Changed(0) if report.fate != Fate::Pending => tokio::time::sleep(pause).await,
                _ => return Ok(true),
            }
        }
        tracing::warn!(provider, "a report tells of a message that nothing is known of; it is passed over");
        Ok(true)
    }
}
