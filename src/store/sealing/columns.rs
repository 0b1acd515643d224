//! Columns whose values are sealed. Each kind is an SQL type of its own: a value of one opens in no other.

use std::borrow::Cow;
use std::io::Write as _;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{Binary, Nullable, Text};
use diesel::sqlite::Sqlite;

use super::{Unopened, opened, sealed};

/// What stands in the place of a text that cannot be read.
const UNREADABLE: &str = "[what is stored here cannot be read]";

/// A text as a sealed column.
#[derive(Debug, Clone, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Title)]
#[diesel(sql_type = Message)]
#[diesel(sql_type = DataText)]
#[diesel(sql_type = ActionUrl)]
#[diesel(sql_type = WishText)]
#[diesel(sql_type = ContactsText)]
#[diesel(sql_type = DigestText)]
#[diesel(sql_type = WebhookUrl)]
#[diesel(sql_type = WebhookSecret)]
pub struct Sealed(pub String);

/// The same, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsExpression)]
#[diesel(sql_type = Title)]
#[diesel(sql_type = Message)]
#[diesel(sql_type = DataText)]
#[diesel(sql_type = ActionUrl)]
#[diesel(sql_type = WishText)]
#[diesel(sql_type = ContactsText)]
#[diesel(sql_type = DigestText)]
#[diesel(sql_type = WebhookUrl)]
#[diesel(sql_type = WebhookSecret)]
pub struct SealedStr<'a>(pub &'a str);

/// A text out of a sealed column, or why it does not open: with it one damaged value fails nothing but itself.
#[derive(Debug, Clone, PartialEq, Eq, FromSqlRow)]
pub struct Opening(pub Result<String, Unopened>);

impl Opening {
    /// The text, or a word that it cannot be read.
    pub fn legible(self) -> String {
        self.0.unwrap_or_else(|_| UNREADABLE.to_owned())
    }

    /// The same of what holds JSON.
    pub fn legible_json(self) -> String {
        self.0.unwrap_or_else(|_| format!("{{\"unreadable\":\"{UNREADABLE}\"}}"))
    }
}

impl From<Opening> for String {
    fn from(stored: Opening) -> Self {
        stored.legible()
    }
}

/// What is there of them as texts: with a word where one cannot be read.
pub fn legible(stored: Option<Opening>) -> Option<String> {
    stored.map(Opening::legible)
}

/// The same, of a column that may be empty.
#[derive(Debug, Clone, PartialEq, Eq, FromSqlRow)]
pub struct Perhaps(pub Option<String>);

impl From<Perhaps> for Option<String> {
    fn from(stored: Perhaps) -> Self {
        stored.0
    }
}

impl<DB: Backend> FromSql<Nullable<Text>, DB> for Perhaps
where
    Opening: FromSql<Text, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(Some(<Opening as FromSql<Text, DB>>::from_sql(bytes)?.legible())))
    }

    fn from_nullable_sql(bytes: Option<DB::RawValue<'_>>) -> deserialize::Result<Self> {
        bytes.map_or(Ok(Self(None)), Self::from_sql)
    }
}

/// What is stored in plain may have been damaged, too: on SQLite it may be no text any more.
impl FromSql<Text, Sqlite> for Opening {
    fn from_sql(bytes: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        let stored = <Vec<u8> as FromSql<Binary, Sqlite>>::from_sql(bytes)?;
        Ok(Self(String::from_utf8(stored).map_err(|_| Unopened::NoText)))
    }
}

impl FromSql<Text, Pg> for Opening {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(Ok(<String as FromSql<Text, Pg>>::from_sql(bytes)?)))
    }
}

/// Bytes out of a sealed column, or why they do not open.
#[derive(Debug, Clone, PartialEq, Eq, FromSqlRow)]
pub struct OpeningBytes(pub Result<Vec<u8>, Unopened>);

/// Bytes as a sealed column.
#[derive(Debug, Clone, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = PushKey)]
#[diesel(sql_type = PushAuth)]
pub struct SealedBytes(pub Vec<u8>);

fn to_sqlite<'b>(kind: &str, text: &'b str, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
    match sealed(kind, text.as_bytes())? {
        Cow::Borrowed(_) => out.set_value(text),
        Cow::Owned(stored) => out.set_value(String::from_utf8(stored)?),
    }
    Ok(IsNull::No)
}

fn to_postgres(kind: &str, bytes: &[u8], out: &mut Output<'_, '_, Pg>) -> serialize::Result {
    out.write_all(&sealed(kind, bytes)?)?;
    Ok(IsNull::No)
}

macro_rules! texts {
    ($($(#[$doc:meta])* $kind:ident = $name:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
        #[diesel(sqlite_type(name = "Text"))]
        #[diesel(postgres_type(oid = 25, array_oid = 1009))]
        pub struct $kind;

        impl ToSql<$kind, Sqlite> for SealedStr<'_> {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
                to_sqlite($name, self.0, out)
            }
        }

        impl ToSql<$kind, Pg> for SealedStr<'_> {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                to_postgres($name, self.0.as_bytes(), out)
            }
        }

        impl ToSql<$kind, Sqlite> for Sealed {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
                to_sqlite($name, &self.0, out)
            }
        }

        impl ToSql<$kind, Pg> for Sealed {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                to_postgres($name, self.0.as_bytes(), out)
            }
        }

        impl FromSql<$kind, Sqlite> for String {
            fn from_sql(bytes: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
                // Whatever bytes are there: what is no text is damaged, and no fault of the query.
                let stored = <Vec<u8> as FromSql<Binary, Sqlite>>::from_sql(bytes)?;
                Ok(Self::from_utf8(opened($name, stored)?).map_err(|_| Unopened::NoText)?)
            }
        }

        impl FromSql<$kind, Pg> for String {
            fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
                let stored = <Self as FromSql<Text, Pg>>::from_sql(bytes)?;
                Ok(Self::from_utf8(opened($name, stored.into_bytes())?).map_err(|_| Unopened::NoText)?)
            }
        }

        impl<DB: Backend> FromSql<$kind, DB> for Opening
        where
            String: FromSql<$kind, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
                match <String as FromSql<$kind, DB>>::from_sql(bytes) {
                    Ok(plain) => Ok(Self(Ok(plain))),
                    Err(fault) => Ok(Self(Err(*fault.downcast::<Unopened>()?))),
                }
            }
        }

        impl<DB: Backend> FromSql<$kind, DB> for Sealed
        where
            String: FromSql<$kind, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
                Ok(Self(<String as FromSql<$kind, DB>>::from_sql(bytes)?))
            }
        }
    )*};
}

texts! {
    /// `title` of a notification.
    Title = "title";
    /// Its `message`.
    Message = "message";
    /// Its `data`.
    DataText = "data";
    /// Its `action_url`.
    ActionUrl = "action_url";
    /// What its sender wants of it: addresses may stand there.
    WishText = "wish";
    /// Where somebody can be reached.
    ContactsText = "contacts";
    /// A digest that was sent.
    DigestText = "digest";
    /// Where a webhook is.
    WebhookUrl = "webhook_url";
    /// What it is signed by.
    WebhookSecret = "webhook_secret";
}

macro_rules! byte_columns {
    ($($(#[$doc:meta])* $kind:ident = $name:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
        #[diesel(sqlite_type(name = "Binary"))]
        #[diesel(postgres_type(oid = 17, array_oid = 1001))]
        pub struct $kind;

        impl ToSql<$kind, Sqlite> for SealedBytes {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
                out.set_value(sealed($name, &self.0)?.into_owned());
                Ok(IsNull::No)
            }
        }

        impl ToSql<$kind, Pg> for SealedBytes {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                to_postgres($name, &self.0, out)
            }
        }

        impl<DB: Backend> FromSql<$kind, DB> for OpeningBytes
        where
            Vec<u8>: FromSql<Binary, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
                Ok(Self(opened($name, <Vec<u8> as FromSql<Binary, DB>>::from_sql(bytes)?)))
            }
        }

        impl<DB: Backend> FromSql<$kind, DB> for SealedBytes
        where
            Vec<u8>: FromSql<Binary, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
                Ok(Self(opened($name, <Vec<u8> as FromSql<Binary, DB>>::from_sql(bytes)?)?))
            }
        }
    )*};
}

byte_columns! {
    /// The public key of a browser.
    PushKey = "p256dh";
    /// Its secret.
    PushAuth = "auth";
}
