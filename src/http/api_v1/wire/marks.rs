//! What is marked, counted and removed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How much was not read.
#[derive(Serialize, ToSchema)]
#[schema(as = UnreadCount)]
pub struct UnreadOut {
    /// So much.
    pub unread_count: i64,
}

/// Whether it was looked at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = Mark, example = json!({"is_read": true}))]
pub struct MarkIn {
    /// It was.
    pub is_read: bool,
}

/// The answer to reading everything.
#[derive(Serialize, ToSchema)]
#[schema(as = AllRead)]
pub struct ReadAllOut {
    status: &'static str,
    message: &'static str,
    marked_count: usize,
}

impl ReadAllOut {
    /// So many were not read before.
    pub const fn new(marked_count: usize) -> Self {
        Self { status: "success", message: "All notifications are read.", marked_count }
    }
}

/// One word of a deletion.
#[derive(Serialize, ToSchema)]
#[schema(as = Deleted)]
pub struct DeletedOut {
    pub(super) detail: &'static str,
}

impl DeletedOut {
    /// It is gone.
    pub const GONE: Self = Self { detail: "The notification was deleted." };
    /// It goes out no more.
    pub const CEASED: Self = Self { detail: "The notification will not go out any more." };
    /// A device was taken away.
    pub const UNSUBSCRIBED: Self = Self { detail: "The device gets nothing any more." };
    /// Digests are wanted no more.
    pub const NO_DIGEST: Self = Self { detail: "There will be no digest any more." };
    /// It is used no more.
    pub const USED_NO_MORE: Self = Self { detail: "The template is used no more." };
    /// It was taken back.
    pub const TAKEN_BACK: Self = Self { detail: "The notification was taken back and will not go out." };
}
