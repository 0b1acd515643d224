//! Which topics are kept for a role or a tenant.

use std::str::FromStr;

/// Topics that fit a pattern, and whoever may subscribe to them: `staff-* role:staff`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restriction {
    /// The name, or how it begins.
    name: String,
    is_beginning: bool,
    only: Only,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Only {
    Role(String),
    Tenant(String),
}

/// What a restriction must look like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no restriction; write `NAME role:ROLE` or `NAME tenant:TENANT`, where NAME may end in *")]
pub struct NoRestriction(String);

impl FromStr for Restriction {
    type Err = NoRestriction;

    fn from_str(text: &str) -> Result<Self, NoRestriction> {
        let read = || {
            let (pattern, only) = text.trim().rsplit_once(char::is_whitespace)?;
            let only = match only.split_once(':')? {
                ("role", role) if !role.is_empty() => Only::Role(role.to_owned()),
                ("tenant", tenant) if !tenant.is_empty() => Only::Tenant(tenant.to_owned()),
                _ => return None,
            };
            let pattern = pattern.trim();
            let beginning = pattern.strip_suffix('*');
            let name = beginning.unwrap_or(pattern);
            let is_sound = !name.contains('*') && !pattern.is_empty();
            is_sound.then(|| Self { name: name.to_owned(), is_beginning: beginning.is_some(), only })
        };
        read().ok_or_else(|| NoRestriction(text.to_owned()))
    }
}

impl Restriction {
    fn fits(&self, topic: &str) -> bool {
        if self.is_beginning { topic.starts_with(&self.name) } else { topic == self.name }
    }

    fn names(&self, tenant: &str, roles: &[String]) -> bool {
        match &self.only {
            Only::Role(role) => roles.contains(role),
            Only::Tenant(only) => only == tenant,
        }
    }

    /// Whether somebody of `tenant` with `roles` may subscribe to `topic`: if no restriction fits it, or one that does
    /// names them.
    pub fn permit(restrictions: &[Self], topic: &str, tenant: &str, roles: &[String]) -> bool {
        let mut fitting = restrictions.iter().filter(|restriction| restriction.fits(topic)).peekable();
        fitting.peek().is_none() || fitting.any(|restriction| restriction.names(tenant, roles))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn who_is_named_may() {
        let restrictions: Vec<Restriction> =
            ["staff-* role:staff", "staff-board tenant:acme", "* role:guest"][..2]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
        let may = |topic: &str, tenant: &str, role: &str| {
            Restriction::permit(&restrictions, topic, tenant, &[role.to_owned()])
        };
        assert!(may("orders", "default", "guest") && may("staff", "default", "guest"));
        assert!(may("staff-", "default", "staff") && may("staff-rota", "default", "staff"));
        assert!(!may("staff-", "default", "guest") && !may("staff-rota", "acme", "guest"));
        assert!(may("staff-board", "acme", "guest") && may("staff-board", "default", "staff"));
        let all = ["* role:guest".parse().unwrap()];
        assert!(!Restriction::permit(&all, "orders", "default", &[]));
    }

    #[test]
    fn what_is_none_is_refused() {
        for odd in ["", "staff-*", "role:staff", "a*b role:c", "a role:", "a user:2", "a role", " role:staff"]
        {
            assert!(odd.parse::<Restriction>().is_err(), "{odd}");
        }
        assert!("two words role:staff".parse::<Restriction>().is_ok());
    }
}
