//! The write bodies, blocking.

macro_rules! wait {
    ($query:expr) => {
        $query
    };
}
macro_rules! body {
    ($(#[$doc:meta])* $access:vis fn $name:ident $arguments:tt -> $output:ty $body:block) => {
        $(#[$doc])* $access fn $name $arguments -> $output $body
    };
}

use diesel::RunQueryDsl;
use diesel::sqlite::SqliteConnection as Connection;

#[path = "../commit.rs"]
mod commit;
pub use commit::apply;
