//! The templates that come with the server: TOML files, embedded.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::{Sources, Template};
use crate::domain::TemplateName;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Names, and what is written there.
        const FILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../templates/notifications/", $name, ".toml")))),*];
    };
}

files![
    "attendance_alert",
    "course_update",
    "digest",
    "grade_update",
    "iep_deadline_warning",
    "iep_document_ready",
    "iep_meeting_reminder",
    "iep_parent_consent",
    "iep_progress_report",
    "iep_review_due",
    "system_message",
];

/// One of the files as a template.
fn read(name: &str, text: &str) -> Result<Template, String> {
    let sources: Sources = toml::from_str(text).map_err(|fault| format!("{name}: {fault}"))?;
    let name = TemplateName::new(name).map_err(|expected| format!("{name}: {expected}"))?;
    Template::new(name.clone(), 0, sources).map_err(|fault| format!("{name}: {fault}"))
}

static BUILT_IN: LazyLock<BTreeMap<&'static str, Arc<Template>>> = LazyLock::new(|| {
    let read = FILES.iter().filter_map(|(name, text)| match read(name, text) {
        Ok(template) => Some((*name, Arc::new(template))),
        Err(fault) => {
            // Unit tests read all of them.
            tracing::error!(%fault, "a built-in template cannot be used");
            None
        }
    });
    read.collect()
});

/// The built-in template of this name.
pub fn built_in(name: &TemplateName) -> Option<Arc<Template>> {
    BUILT_IN.get(name.as_str()).cloned()
}

/// All of them, in the order of their names.
pub fn built_ins() -> impl Iterator<Item = Arc<Template>> {
    BUILT_IN.values().cloned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::{Locale, Priority, Zone};
    use crate::render::{Alert, Letterhead, Mail, Push, RenderError, Scene, Sms};
    use serde_json::{Map, Value, json};

    fn all() -> Vec<Template> {
        FILES.iter().map(|(name, text)| read(name, text).unwrap_or_else(|fault| panic!("{fault}"))).collect()
    }

    /// A good value of each name.
    fn value(template: &str, name: &str) -> Value {
        match name {
            "days_remaining" => json!(5),
            "grade" => json!(85),
            "attendees" => json!(["Teacher", "Parent", "Counselor"]),
            "date" | "meeting_date" | "deadline_date" | "starts_at" | "ends_at" => {
                json!("2025-09-15T14:00:00Z")
            }
            "summary" if template == "digest" => json!({"total_notifications": 7, "unread_notifications": 3}),
            "top_notifications" => {
                Value::from(vec![json!({"title": "<student_name> & more", "message": "x"}); 6])
            }
            "notifications_by_type" => json!({
                "iep.update": {"count": 7, "notifications": [{"title": "<student_name>"}], "not_listed": 6},
                "grade": {"count": 1, "notifications": [{"title": "A"}]},
            }),
            "other_types" => json!({"count": 2}),
            name => json!(format!("<{name}> & more")),
        }
    }

    fn data<'a>(template: &Template, names: impl Iterator<Item = &'a String>) -> Value {
        let template = template.name().as_str();
        Value::Object(names.map(|name| (name.clone(), value(template, name))).collect::<Map<_, _>>())
    }

    fn alert() -> Alert<'static> {
        Alert {
            id: 7,
            uuid: uuid::Uuid::nil(),
            kind: "k",
            template: None,
            priority: Priority::High,
            action_url: None,
            icon: None,
            badge: None,
            stop: None,
        }
    }

    /// No trace of the language of templates, no hole, no doubled sign.
    fn is_whole(text: &str) -> bool {
        let odd = [
            "{{",
            "}}",
            "{%",
            "%}",
            "undefined",
            "none",
            "()",
            "  ",
            " .",
            " ,",
            "..",
            ": .",
            "\"\"",
            "«»",
            "@",
        ];
        !text.trim().is_empty() && !odd.iter().any(|odd| text.trim_end_matches("...").contains(odd))
    }

    #[test]
    fn each_says_something_whole_in_each_language_on_each_surface() {
        for template in all() {
            let sources = template.sources();
            assert!(!sources.description.is_empty() && !sources.channels.is_empty(), "{}", template.name());
            let optional = &sources.optional;
            let given = |with: &[String]| data(&template, sources.required.iter().chain(with));
            let mut choices = vec![given(&[]), given(optional)];
            choices.extend(optional.iter().map(|one| given(std::slice::from_ref(one))));
            for locale in ["en", "es", "el", "es-MX", "en-US"] {
                let found = Locale::new(&locale[..2]).unwrap();
                assert!(sources.locales.contains_key(&found), "{} in {found}", template.name());
                for data in &choices {
                    let scene =
                        Scene::new(data, Locale::new(locale).unwrap(), Zone::named("Europe/Athens").unwrap());
                    let words = template.words(&scene.unwrap()).unwrap_or_else(|fault| panic!("{fault}"));
                    assert_eq!(words.locale, found);
                    let mail = Mail::of(&words, &Letterhead::default()).unwrap();
                    let push = Push::of(&words, &alert());
                    let said = [
                        &words.texts.title,
                        &words.texts.message,
                        &Sms::of(&words, None).0,
                        &mail.subject,
                        &push.title,
                        &push.body,
                    ];
                    for text in said {
                        assert!(is_whole(text), "{} in {locale} of {data}: {text}", template.name());
                    }
                    assert!(
                        !mail.html.contains("<student_name>") && mail.html.contains("</html>"),
                        "{}",
                        mail.html
                    );
                }
            }
        }
    }

    #[test]
    fn the_largest_digest_can_be_said() {
        use crate::domain::{Gathering, Item, Line, NotificationId, Timestamp};
        for text in ["x", &"<b> & ".repeat(20), &"κ".repeat(200)] {
            let lines: Vec<Line> = (0..400)
                .rev()
                .map(|at| Line {
                    position: at,
                    kind: format!("kind{}", at % 25),
                    priority: Priority::High,
                    is_read: false,
                })
                .collect();
            let mut gathering = Gathering::default();
            lines.iter().for_each(|line| gathering.add(line.clone()));
            let item = |line: &Line| Item {
                id: NotificationId(line.position),
                uuid: uuid::Uuid::nil(),
                kind: line.kind.clone(),
                title: text.to_owned(),
                message: format!("{text} too"),
                priority: line.priority,
                action_url: None,
                is_read: false,
                created_at: Timestamp::from_micros(0),
            };
            let digest = gathering
                .content("2025-01-15", &lines.iter().map(|line| (line.position, item(line))).collect());
            for locale in ["en", "es", "el"] {
                let scene = Scene::new(&digest, Locale::new(locale).unwrap(), Zone::UTC).unwrap();
                let template = built_in(&TemplateName::new("digest").unwrap()).unwrap();
                let words =
                    template.words(&scene).unwrap_or_else(|fault| panic!("{text} in {locale}: {fault}"));
                let mail = Mail::of(&words, &Letterhead::default()).unwrap();
                assert!(mail.html.contains("kind2") && !mail.html.contains("<b>"), "{}", mail.html);
            }
        }
    }

    #[test]
    fn each_names_what_is_missing() {
        for template in all() {
            for missing in &template.sources().required {
                let rest = template.sources().required.iter().filter(|name| *name != missing);
                for blank in [None, Some(json!(null)), Some(json!("  ")), Some(json!([]))] {
                    let mut data = data(&template, rest.clone());
                    if let Some(blank) = blank {
                        data[missing] = blank;
                    }
                    let scene = Scene::new(&data, Locale::default(), Zone::UTC).unwrap();
                    let fault = template.words(&scene).unwrap_err();
                    assert_eq!(
                        fault,
                        RenderError::Missing { variable: missing.clone() },
                        "{}",
                        template.name()
                    );
                }
            }
        }
    }

    #[test]
    fn they_are_as_the_systems_they_serve_know_them() {
        let of = |name: &str| built_in(&TemplateName::new(name).unwrap()).unwrap();
        let known = [
            ("iep_meeting_reminder", "high", 3),
            ("iep_deadline_warning", "urgent", 3),
            ("iep_document_ready", "normal", 2),
            ("iep_parent_consent", "high", 3),
            ("iep_review_due", "normal", 2),
            ("iep_progress_report", "normal", 2),
        ];
        for (name, priority, channels) in known {
            let sources = of(name).sources().clone();
            assert_eq!((sources.priority.name(), sources.channels.len()), (priority, channels), "{name}");
        }
        assert_eq!(built_ins().count(), FILES.len());
        let scene = Scene::new(&json!({"grade": 85, "course_id": 5}), Locale::default(), Zone::UTC).unwrap();
        assert_eq!(of("grade_update").words(&scene).unwrap().texts.message, "A new grade is available: 85.");
    }
}
