//! The write bodies, async.

macro_rules! wait {
    ($query:expr) => {
        $query.await
    };
}
macro_rules! body {
    ($(#[$doc:meta])* $access:vis fn $name:ident $arguments:tt -> $output:ty $body:block) => {
        $(#[$doc])* $access async fn $name $arguments -> $output $body
    };
}

use diesel_async::AsyncPgConnection as Connection;
use diesel_async::RunQueryDsl;

#[path = "../commit.rs"]
mod commit;
pub use commit::apply;
