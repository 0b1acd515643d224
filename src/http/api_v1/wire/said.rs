//! What is sent in the words of a template.

use super::*;
use crate::access::Principal;
use crate::service::Library;

impl SendIn {
    /// What `who` wants to send, said by the template that it names, if it names one.
    ///
    /// # Errors
    /// As [`SendIn::draft`]; and when there is no such template, or the data lacks what it needs.
    pub async fn said(
        mut self,
        library: &Library,
        who: &Principal,
        unaddressed: Unaddressed,
        idempotency_key: Option<String>,
    ) -> Result<Draft, Error> {
        let (locale, zone) = (self.locale.take(), self.time_zone);
        let Some(name) = self.template.take() else {
            return self.draft(&who.tenant, unaddressed, idempotency_key);
        };
        let template = library.named(&who.tenant, &name).await?;
        self.r#type.get_or_insert_with(|| template.sources().kind.clone());
        self.priority.get_or_insert(template.sources().priority);
        let mut draft = self.draft(&who.tenant, unaddressed, idempotency_key)?;
        library.say(who, &template, &mut draft, locale, zone).await?;
        Ok(draft)
    }
}
