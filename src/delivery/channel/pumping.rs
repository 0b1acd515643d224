//! What keeps text messages from costing a fortune: the countries they may go to. How many may go is counted by whoever
//! keeps deliveries.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Channel, Fault, Letter, Parcel, Taken, Unusable};
use crate::domain::Phone;

/// Where text messages may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Countries {
    /// Anywhere.
    All,
    /// To these, by two letters.
    Only(HashSet<String>),
}

impl Countries {
    /// As settings have it. If they name none, it is the country that `from` belongs to.
    ///
    /// # Errors
    /// When one is none, or nothing says which.
    pub fn new(named: &[String], from: &str) -> Result<Self, Unusable> {
        if named.iter().any(|name| name == "*") {
            return Ok(Self::All);
        }
        if let Some(odd) =
            named.iter().find(|name| name.len() != 2 || !name.bytes().all(|b| b.is_ascii_alphabetic()))
        {
            let rule =
                format!("sms.countries: `{odd}` is no country; write two letters such as US, or * for all");
            return Err(Unusable(rule));
        }
        let mut only: HashSet<String> = named.iter().map(|name| name.to_ascii_uppercase()).collect();
        if only.is_empty() {
            let home = Phone::new(from).ok().and_then(|from| from.country().map(str::to_owned));
            let home = home.ok_or_else(|| {
                let rule = "sms.countries names no country to which text messages may go; write, for example, US, GB. \
                    Others would cost whatever somebody makes them cost";
                Unusable(rule.to_owned())
            })?;
            only.insert(home);
        }
        Ok(Self::Only(only))
    }

    /// Whether one may go to `phone`.
    pub fn allow(&self, phone: &Phone) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => phone.country().is_some_and(|country| only.contains(country)),
        }
    }
}

/// A provider that is not asked to send where nothing may go.
pub(super) struct Guarded {
    pub(super) inner: Arc<dyn Channel>,
    pub(super) countries: Countries,
}

impl Channel for Guarded {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn most_at_once(&self) -> usize {
        self.inner.most_at_once()
    }

    fn send<'a>(&'a self, parcel: &'a Parcel) -> BoxFuture<'a, Result<Taken, Fault>> {
        match &parcel.letter {
            Letter::Sms { to, .. } if to.is_costly() => Box::pin(async {
                let reason = "no text message goes to numbers that cost more than others".to_owned();
                Err(Fault::Unfit { reason })
            }),
            Letter::Sms { to, .. } if !self.countries.allow(to) => Box::pin(async {
                let reason = "no text message may go to that country (sms.countries)".to_owned();
                Err(Fault::Unfit { reason })
            }),
            _ => self.inner.send(parcel),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn countries_are_named_or_that_of_the_sender() {
        let named = |names: &[&str], from| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            Countries::new(&names, from)
        };
        let (american, canadian, greek) =
            ("+14155550123", "+16045550123", Phone::new("+302101234567").unwrap());
        let home = named(&[], american).unwrap();
        assert!(home.allow(&Phone::new(american).unwrap()));
        assert!(!home.allow(&Phone::new(canadian).unwrap()), "they share a code");
        assert!(!home.allow(&greek));
        assert!(named(&["us", "GR"], "").unwrap().allow(&greek));
        assert!(named(&["*"], "").unwrap().allow(&greek));
        assert!(named(&[], "MG0123").is_err() && named(&[], "").is_err() && named(&["Greece"], "").is_err());
    }
}
