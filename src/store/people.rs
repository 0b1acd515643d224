//! How many people a tenant has, and of which kinds.

use super::{Figure, Readers, Store, StoreError, on, postgres, sqlite};
use crate::domain::{Contacts, Guardian, Tenant};

/// People of one page. Whoever else reads has a turn between two.
pub const COUNTED_TOGETHER: i64 = 1_000;

/// What is counted of some people.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// The last one.
    pub last: Option<i64>,
    total: i64,
    /// Whose contacts cannot be opened.
    pub shut: i64,
    minors: i64,
    alone: i64,
    without_mail: i64,
}

impl People {
    /// Who have these numbers; of whom nothing else is counted yet.
    pub fn of(ids: &[i64]) -> Self {
        let total = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        Self { last: ids.last().copied(), total, ..Self::default() }
    }

    /// Counts somebody who has these contacts.
    pub fn note(&mut self, stored: &str) {
        let contacts = Contacts::from_stored(stored);
        self.minors += i64::from(contacts.is_minor);
        self.alone += i64::from(contacts.is_minor && contacts.guardian == Guardian::default());
        self.without_mail += i64::from(contacts.consents.email == Some(false));
    }

    fn add(&mut self, more: &Self) {
        self.total += more.total;
        self.shut += more.shut;
        self.minors += more.minors;
        self.alone += more.alone;
        self.without_mail += more.without_mail;
    }

    fn figures(&self) -> Vec<Figure> {
        let all = [
            ("minors", self.minors),
            ("minors without a guardian's contact", self.alone),
            ("total", self.total),
            ("without consent to e-mails", self.without_mail),
        ];
        let shut = (self.shut > 0).then_some(("with contacts that cannot be opened", self.shut));
        let figure = |(name, many): (&str, i64)| Figure { section: "people", name: name.to_owned(), many };
        all.into_iter().chain(shut).map(figure).collect()
    }
}

impl Store {
    /// How many people there are in `tenant`, how many of them are minors, and whom of these nobody can be reached for. Opens the
    /// contacts of all who have some, page after page: no connection is held longer than one takes.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn standing(&self, tenant: &Tenant) -> Result<Vec<Figure>, StoreError> {
        let (mut all, mut after) = (People::default(), 0);
        loop {
            let page: People = on!(&self.readers, people(tenant, after))?;
            all.add(&page);
            match page.last {
                Some(last) => after = last,
                None => return Ok(all.figures()),
            }
        }
    }
}
