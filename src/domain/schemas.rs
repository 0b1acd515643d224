//! The nouns as documents for programs describe them.

use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{ArrayBuilder, Object, ObjectBuilder, OneOfBuilder};

use super::{
    Action, Day, Frequency, NotificationId, Priority, QuietChange, QuietHours, TimeOfDay, Timestamp, UserId,
    WebhookEvent, Zone,
};

const TIME_OF_DAY: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]$";

/// Describes types under names of their own.
macro_rules! schemas {
    ($($name:literal: $type:ty => $schema:expr;)*) => {
        $(
            impl utoipa::PartialSchema for $type {
                fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                    $schema.into()
                }
            }
            impl utoipa::ToSchema for $type {
                fn name() -> std::borrow::Cow<'static, str> {
                    std::borrow::Cow::Borrowed($name)
                }
            }
        )*
    };
}
pub(crate) use schemas;

schemas! {
    "Time": Timestamp => ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    "Number": NotificationId => ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
    "User": UserId => OneOfBuilder::new()
        .item(name_schema())
        .item(Object::with_type(Type::Integer));
    "TimeZone": Zone => Object::with_type(Type::String);
    "TimeOfDay": TimeOfDay => ObjectBuilder::new().schema_type(Type::String).pattern(Some(TIME_OF_DAY));
    "Day": Day => ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]));
    "Frequency": Frequency => ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["daily", "weekly"]));
    "QuietHours": QuietHours => ObjectBuilder::new()
        .property("enabled", Object::with_type(Type::Boolean))
        .property("start", ObjectBuilder::new().schema_type(Type::String).pattern(Some(TIME_OF_DAY)))
        .property("end", ObjectBuilder::new().schema_type(Type::String).pattern(Some(TIME_OF_DAY)))
        .property("days", ArrayBuilder::new().items(ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]))))
        .required("start")
        .required("end")
        .description(Some("From when until when, on those days on which they start; on all, if none is named."));
    "QuietHoursChange": QuietChange => ObjectBuilder::new()
        .property("enabled", Object::with_type(Type::Boolean))
        .property("start", ObjectBuilder::new().schema_type(Type::String).pattern(Some(TIME_OF_DAY)))
        .property("end", ObjectBuilder::new().schema_type(Type::String).pattern(Some(TIME_OF_DAY)))
        .property("days", ArrayBuilder::new().items(ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]))))
        .description(Some("With a start and an end they are new ones; else the rest of those that there are stays."));
    "Action": Action => ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(Action::ALL.iter().map(|action| action.name())));
    "WebhookEvent": WebhookEvent => ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(WebhookEvent::ALL.iter().map(|event| event.name())));
    "Priority": Priority => ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["low", "normal", "medium", "high", "urgent", "critical"]));
}

/// What can be a name: at most 128 bytes, that is.
pub fn name_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(128))
        .pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"))
        .build()
}
