//! What is for several people is for one fewer: whoever is forgotten is left out of it. Compiled twice, like `commit.rs`.

use diesel::prelude::*;

use super::erasing::contents;
use super::{Connection, RunQueryDsl};
use crate::domain::booker::without_booker;
use crate::domain::pseudonym::{Of, pseudonym};
use crate::domain::{Group, Recipient};
use crate::store::schema::{expansions, notifications, recurring};
use crate::store::sealing::SealedStr;

/// Without `user`, and which place they had; nothing, if it names nobody of that name.
fn without(audience: &str, user: &str) -> Option<(Vec<String>, usize)> {
    let Ok(Group::People(mut users)) = serde_json::from_str(audience) else { return None };
    let place = users.iter().position(|one| one == user)?;
    users.retain(|one| one != user);
    Some((users, place))
}

fn written(users: Vec<String>) -> QueryResult<String> {
    serde_json::to_string(&Group::People(users))
        .map_err(|fault| diesel::result::Error::SerializationError(Box::new(fault)))
}

body! {
    /// A notification is for one person fewer; if it was for them only, it is gone.
    pub fn expansion(connection: &mut Connection, whom: &Recipient, id: i64) -> QueryResult<usize> {
        // This transaction's until the commit.
        let this = || expansions::table.find(id);
        wait!(diesel::update(this()).set(expansions::chunks.eq(expansions::chunks)).execute(connection))?;
        let found: Option<(String, i64)> =
            wait!(this().select((expansions::audience, expansions::reached)).get_result(connection)).optional()?;
        let Some((audience, reached)) = found else { return Ok(0) };
        let Some((users, place)) = without(&audience, whom.user.as_str()) else { return Ok(0) };
        if users.is_empty() {
            wait!(contents(connection, &[id]))?;
            return Ok(1);
        }
        // It counts how many of them have it.
        let has_it = i64::try_from(place).is_ok_and(|place| place < reached);
        let fewer = (
            expansions::audience.eq(written(users)?),
            expansions::reached.eq(reached - i64::from(has_it)),
        );
        wait!(diesel::update(this()).set(fewer).execute(connection))
    }
}

body! {
    /// What recurs is for one person fewer; if it was theirs, or for them only, it is gone.
    pub fn recurs(connection: &mut Connection, whom: &Recipient, id: i64) -> QueryResult<usize> {
        // This transaction's until the commit.
        let this = || recurring::table.find(id);
        wait!(diesel::update(this()).set(recurring::owner.eq(recurring::owner)).execute(connection))?;
        let found: Option<(String, String)> =
            wait!(this().select((recurring::owner, recurring::audience)).get_result(connection)).optional()?;
        let Some((owner, audience)) = found else { return Ok(0) };
        let user = whom.user.as_str();
        let fewer = without(&audience, user).map(|(users, _)| users);
        match fewer {
            Some(users) if !users.is_empty() && owner != user => {
                let audience = recurring::audience.eq(written(users)?);
                wait!(diesel::update(this()).set(audience).execute(connection))
            }
            None if owner != user => Ok(0),
            _ => wait!(diesel::delete(this()).execute(connection)),
        }
    }
}

body! {
    /// A booking that is from them stays its facilitator's, and is from nobody.
    pub fn unbook(connection: &mut Connection, whom: &Recipient, id: i64, secret: &[u8]) -> QueryResult<usize> {
        let this = notifications::table.find(id);
        let found: Option<(String, String)> =
            wait!(this.select((notifications::message, notifications::data)).get_result(connection)).optional()?;
        let Some((message, data)) = found else { return Ok(0) };
        let user = whom.user.as_str();
        let other = pseudonym(secret, Of::Name, user);
        let Some((data, message)) = without_booker(&data, &message, user, &other) else { return Ok(0) };
        let fewer = (notifications::message.eq(SealedStr(&message)), notifications::data.eq(SealedStr(&data)));
        wait!(diesel::update(this).set(fewer).execute(connection))
    }
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn who_is_left_out_keeps_the_others_in_their_order() {
        let audience = r#"{"people":["ana","ben","eve"]}"#;
        let left = |users: &[&str]| users.iter().map(|user| (*user).to_owned()).collect::<Vec<_>>();
        assert_eq!(without(audience, "ben"), Some((left(&["ana", "eve"]), 1)));
        assert_eq!(without(audience, "zoe"), None);
        assert_eq!(without(r#"{"topic":"ben"}"#, "ben"), None);
    }
}
