//! The dialect of the IEP reminders: addresses without a prefix.

pub mod notify;

super::answer! {
    POST "/notify" => notify::notify;
}
