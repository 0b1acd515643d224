//! The dialect of the IEP reminders: addresses without a prefix.

pub mod notify;
pub mod templates;

super::answer! {
    POST "/notify" => notify::notify;
    GET "/templates" => templates::list;
}
