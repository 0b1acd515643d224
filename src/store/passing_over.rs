//! What does not open is passed over by who reads more than it. Compiled twice, once for each database.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Connection;
use crate::domain::Notification;
use crate::store::StoreError;
use crate::store::content::{Content, legible, notification};
use crate::store::schema::sealing;
use crate::store::sealing::{KEY, Unopened};

/// Lets a word stand where something does not open, which the log tells of: `what` it is, and its number.
///
/// # Errors
/// As [`opened`].
pub async fn is_passed_over(
    connection: &mut Connection,
    what: &'static str,
    id: i64,
    why: Unopened,
) -> Result<(), StoreError> {
    if is_elsewhere(connection, &why).await? {
        return Err(why.into());
    }
    tracing::error!(id, fault = %why, "what is stored of {what} cannot be read: it is passed over");
    Ok(())
}

/// What opens of these, each with the number of its notification, and nothing in the place of what is damaged: the log names it.
///
/// # Errors
/// When another server can open what this one cannot, as its key is missing here: that is not to be passed over.
pub async fn opened<T>(
    connection: &mut Connection,
    all: impl IntoIterator<Item = (i64, Result<T, Unopened>)>,
) -> Result<Vec<Option<T>>, StoreError> {
    let mut opened = Vec::new();
    for (notification, one) in all {
        opened.push(match one {
            Ok(one) => Some(one),
            Err(why) if is_elsewhere(connection, &why).await? => return Err(why.into()),
            Err(why) => {
                tracing::error!(
                    notification.id = notification,
                    fault = %why,
                    "what is stored of a notification cannot be read: it is passed over"
                );
                None
            }
        });
    }
    Ok(opened)
}

/// The same of whole notifications, with a word in the place of what is damaged.
///
/// # Errors
/// As [`opened`].
pub async fn legibly(
    connection: &mut Connection,
    all: Vec<Content>,
) -> Result<Vec<Notification>, StoreError> {
    let looked_at = all.iter().map(|content| (content.0, notification(content.clone())));
    let opened = opened(connection, looked_at.collect::<Vec<_>>()).await?;
    let legibly = |(content, opened): (Content, Option<Notification>)| match opened {
        Some(opened) => Ok(opened),
        None => Ok(notification(legible(content))?),
    };
    all.into_iter().zip(opened).map(legibly).collect()
}

/// Whether another server can open it: the database remembers its key.
async fn is_elsewhere(connection: &mut Connection, why: &Unopened) -> Result<bool, StoreError> {
    let Unopened::NoKey(key) = why else { return Ok(false) };
    let known = sealing::table.filter(sealing::name.eq(format!("{KEY}{key}")));
    let many: i64 = known.count().get_result(connection).await?;
    Ok(many > 0)
}
