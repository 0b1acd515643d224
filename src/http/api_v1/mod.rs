//! `/api/v1`, the canonical API: snake_case. And `/internal/broadcast`, which the hub's neighbours call.

pub mod audit;
pub mod broadcast;
pub mod deliveries;
pub mod explain;
pub mod notifications;
pub mod preferences;
pub mod recurring;
pub mod schedule;
pub mod stream;
pub mod subscriptions;
pub mod templates;
mod wire;

super::answer! {
    GET "/api/v1/notifications" => notifications::list;
    POST "/api/v1/notifications" => notifications::send;
    GET "/api/v1/notifications/" => notifications::list_for_campus;
    GET "/api/v1/notifications/unread-count" => notifications::unread_count;
    GET "/api/v1/notifications/stats" => notifications::stats;
    POST "/api/v1/notifications/read-all" => notifications::read_all;
    POST "/api/v1/notifications/broadcast" => broadcast::broadcast;
    POST "/api/v1/notifications/preview" => explain::preview;
    GET "/api/v1/notifications/preferences" => preferences::get;
    PUT "/api/v1/notifications/preferences" => preferences::put;
    GET "/api/v1/notifications/scheduled" => schedule::list;
    GET "/api/v1/notifications/{id}" => notifications::find;
    PUT "/api/v1/notifications/{id}" => notifications::mark;
    DELETE "/api/v1/notifications/{id}" => notifications::delete;
    POST "/api/v1/notifications/{id}/read" => notifications::read;
    GET "/api/v1/notifications/{id}/timeline" => explain::timeline;
    PUT "/api/v1/notifications/{id}/schedule" => schedule::put_off;
    DELETE "/api/v1/notifications/{id}/schedule" => schedule::take_back;
    GET "/api/v1/recurring" => recurring::list;
    POST "/api/v1/recurring" => recurring::begin;
    GET "/api/v1/recurring/{id}" => recurring::find;
    PUT "/api/v1/recurring/{id}" => recurring::change;
    DELETE "/api/v1/recurring/{id}" => recurring::cease;
    GET "/api/v1/subscriptions" => subscriptions::list;
    POST "/api/v1/subscriptions" => subscriptions::subscribe;
    DELETE "/api/v1/subscriptions" => subscriptions::unsubscribe;
    GET "/api/v1/deliveries/failed" => deliveries::failed;
    POST "/api/v1/deliveries/failed/retry" => deliveries::retry_all;
    POST "/api/v1/deliveries/{id}/retry" => deliveries::retry;
    GET "/api/v1/templates" => templates::list;
    POST "/api/v1/templates" => templates::make;
    POST "/api/v1/templates/preview" => templates::preview_of;
    GET "/api/v1/templates/{name}" => templates::find;
    PUT "/api/v1/templates/{name}" => templates::change;
    DELETE "/api/v1/templates/{name}" => templates::remove;
    GET "/api/v1/templates/{name}/versions" => templates::versions;
    POST "/api/v1/templates/{name}/preview" => templates::preview;
    GET "/api/v1/audit" => audit::list;
    GET "/api/v1/stream" => stream::stream;
    POST "/internal/broadcast" => broadcast::internal;
}
