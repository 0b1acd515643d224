//! What providers say later of what they have taken.

use std::sync::Arc;

use super::Error;
use crate::delivery::channel::{Fate, TwilioCallbacks};
use crate::domain::Clock;
use crate::store::{ContactsWrite, Said, Store, Write};

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
            Fate::Pending => return Ok(true),
            Fate::Delivered => Said::Arrived,
            Fate::Failed => Said::Failed(reason),
            Fate::Stopped => Said::Stopped(reason),
        };
        let (provider, provider_id, at) = ("twilio", report.provider_id, self.clock.now());
        let write = ContactsWrite::Reported { provider, provider_id, said, at };
        self.store.write(Write::Reachable(Arc::new(write))).await?;
        Ok(true)
    }
}
