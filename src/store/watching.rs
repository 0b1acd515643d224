//! What those who run the server look at: how much waits, and which nodes there are. Nobody's notification is in it.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Integer};

use super::{Readers, Store, StoreError, on, postgres, sqlite};
use crate::domain::{Channel, Tenant, Timestamp};

/// It is counted up to here: more is “more”.
pub const COUNTED_TO: i64 = 10_000;
/// Instead of a channel's number: what goes to an audience, or goes out later.
pub(super) const SPREADING: i32 = 10;
/// Instead of a channel's number: what webhooks are told.
pub(super) const TELLING: i32 = 11;

/// How much of a kind of work waits on all nodes, each counted up to [`COUNTED_TO`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, QueryableByName)]
pub struct Backlog {
    /// A channel's number, or 10 or 11.
    #[diesel(sql_type = Integer)]
    pub(super) what: i32,
    /// Its time has come.
    #[diesel(sql_type = BigInt)]
    pub due: i64,
    /// Somebody is at it.
    #[diesel(sql_type = BigInt)]
    pub under_way: i64,
    /// Its time comes.
    #[diesel(sql_type = BigInt)]
    pub later: i64,
}

/// What there is to do.
#[derive(Clone, Debug, Default)]
pub struct Backlogs(pub(super) Vec<Backlog>);

impl Backlogs {
    fn of(&self, what: i32) -> Backlog {
        self.0.iter().find(|one| one.what == what).copied().unwrap_or_default()
    }

    /// What is to leave over this channel.
    pub fn by(&self, channel: Channel) -> Backlog {
        self.of(channel.number())
    }

    /// What goes to audiences, or later.
    pub fn spreading(&self) -> Backlog {
        self.of(SPREADING)
    }

    /// What webhooks are to be told.
    pub fn telling(&self) -> Backlog {
        self.of(TELLING)
    }
}

/// A server that stores in this database.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name, which it has until it is started anew.
    pub name: String,
    /// Seconds since its last sign of life.
    pub silent: f64,
    /// Connections of people.
    pub connections: i64,
    /// Back ends that are connected.
    pub senders: i64,
}

/// One text for both databases; `$1` is the present.
pub(super) fn backlog() -> String {
    let channels = Channel::BEYOND.iter().map(|channel| {
        let channel = channel.number();
        let of = |when: &str| {
            format!(
                "(SELECT state FROM deliveries WHERE channel = {channel} AND state < 2 AND due_at {when} $1 \
                 ORDER BY due_at LIMIT {COUNTED_TO}) AS d"
            )
        };
        format!(
            "SELECT {channel} AS what, (SELECT count(*) FROM {due}) AS due, \
             (SELECT count(*) FROM {later} WHERE d.state = 1) AS under_way, \
             (SELECT count(*) FROM {later} WHERE d.state = 0) AS later",
            due = of("<="),
            later = of(">"),
        )
    });
    let spreading = |when: &str| {
        format!(
            "(SELECT count(*) FROM (SELECT 1 AS one FROM expansions WHERE finished_at IS NULL AND due_at {when} $1 \
             LIMIT {COUNTED_TO}) AS x)"
        )
    };
    let telling = |state: i32| {
        format!(
            "(SELECT count(*) FROM (SELECT state FROM webhook_messages WHERE state < 2 LIMIT {COUNTED_TO}) AS w \
             WHERE w.state = {state})"
        )
    };
    let others = [
        format!("SELECT {SPREADING}, {}, 0, {}", spreading("<="), spreading(">")),
        format!("SELECT {TELLING}, {}, {}, 0", telling(0), telling(1)),
    ];
    channels.chain(others).collect::<Vec<_>>().join(" UNION ALL ")
}

/// How much of the tenant `$1` has failed.
pub(super) fn failed() -> String {
    format!(
        "SELECT count(*) AS many FROM (SELECT 1 AS one FROM deliveries WHERE state = 4 AND tenant = $1 \
         LIMIT {COUNTED_TO}) AS f"
    )
}

impl Store {
    /// How much waits, on all nodes and of all tenants.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn backlogs(&self, now: Timestamp) -> Result<Backlogs, StoreError> {
        on!(&self.readers, backlogs(now))
    }

    /// How many of `tenant`'s deliveries have failed and were not tried again, counted up to [`COUNTED_TO`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn failed_many(&self, tenant: &Tenant) -> Result<i64, StoreError> {
        on!(&self.readers, failed_many(tenant))
    }

    /// The servers that store here, by name. None on SQLite, where there is one.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        on!(&self.readers, nodes())
    }
}
