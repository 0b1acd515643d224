//! `/api/notifications`, the feed's dialect: camelCase, pages with numbers, UUIDs as ids.

pub mod notifications;
pub mod preferences;
mod wire;

super::answer! {
    super::Api:
    GET "/api/notifications" => notifications::list;
    POST "/api/notifications" => notifications::send;
    GET "/api/notifications/unread-count" => notifications::unread_count;
    GET "/api/notifications/preferences" => preferences::preferences;
    PUT "/api/notifications/preferences" => preferences::prefer;
    PUT "/api/notifications/{id}/read" => notifications::read;
    DELETE "/api/notifications/{id}" => notifications::delete;
}
