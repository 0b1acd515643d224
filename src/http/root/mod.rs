//! The dialect of the IEP reminders: addresses without a prefix.

pub mod analytics;
pub mod notify;
pub mod push;
pub mod templates;
mod wire;

super::answer! {
    super::Api:
    POST "/notify" => notify::notify;
    GET "/analytics" => analytics::analytics;
    GET "/templates" => templates::list;
    POST "/push/subscribe" => push::subscribe;
    POST "/push/unsubscribe" => push::unsubscribe;
    DELETE "/push/unsubscribe" => push::unsubscribe_by_query;
}
