//! An export, as it is written: one object, whose members are lists.

use serde_json::{Value, json};

use super::privacy::{ConsentEntryOut, DisclosureOut};
use crate::domain::Notification;
use crate::service::Section;
use crate::store::{Attempt, Elsewhere, State, WholeDelivery, WholeEntry};

/// Writes an export, page by page: one object, whose members are lists.
#[derive(Default)]
pub struct ExportWriter {
    /// The list that is being written.
    open: Option<&'static str>,
    /// Whether something stands in it.
    has_one: bool,
}

impl ExportWriter {
    /// The next page of a section; those of one section follow each other.
    pub fn section(&mut self, section: Section) -> String {
        let (name, rows) = rows(section);
        let mut text = String::new();
        if self.open != Some(name) {
            text.push_str(if self.open.is_some() { "],\n" } else { "{" });
            text.push_str(&format!("\"{name}\":["));
            (self.open, self.has_one) = (Some(name), false);
        }
        for row in rows {
            text.push_str(if self.has_one { ",\n" } else { "\n" });
            text.push_str(&row.to_string());
            self.has_one = true;
        }
        text
    }

    /// What comes after all of them.
    pub fn end(&mut self) -> String {
        if self.open.is_some() { "]}\n".to_owned() } else { "{}\n".to_owned() }
    }
}

/// What is JSON, or a text.
fn told(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

fn rows(section: Section) -> (&'static str, Vec<Value>) {
    let elsewhere = |one: Elsewhere, what: &str, at: &str| json!({"id": one.id, (what): one.what, "content": told(one.content), (at): one.at});
    match section {
        Section::Person(person) => {
            let contacts = person.contacts.map(|contacts| told(contacts.to_stored()));
            let contacts =
                contacts.unwrap_or_else(|| json!({"unreadable": "what is stored of them cannot be read"}));
            let digest = person.digest.map(|(terms, next_at)| json!({"terms": terms, "next_at": next_at}));
            let sockets =
                person.sockets.into_iter().map(|(at, node)| json!({"connected_at": at, "node": node}));
            let one = json!({
                "tenant_id": person.recipient.tenant.as_str(),
                "user_id": person.recipient.user.as_str(),
                "exported_at": person.at,
                "contacts": contacts,
                "preferences": person.preferences,
                "topics": person.topics,
                "roles": person.roles,
                "digest": digest,
                "connections": sockets.collect::<Vec<_>>(),
            });
            ("person", vec![one])
        }
        Section::Entries(page) => ("notifications", page.into_iter().map(entry).collect()),
        Section::Sent(page) => ("sent", page.into_iter().map(content).collect()),
        Section::Booked(page) => ("booked", page.into_iter().map(content).collect()),
        Section::Named(page) => {
            ("scheduled", page.into_iter().map(|one| elsewhere(one, "title", "scheduled_at")).collect())
        }
        Section::Recurring(page) => {
            ("recurring", page.into_iter().map(|one| elsewhere(one, "cron", "next_at")).collect())
        }
        Section::Devices(all) => {
            let device = |one: crate::store::Registered| {
                json!({
                    "id": one.device.id, "endpoint": one.device.endpoint, "p256dh": "***", "auth": "***",
                    "user_agent": one.user_agent, "device_info": one.info.map(told), "types": one.kinds,
                    "quiet_hours": one.quiet_hours, "created_at": one.created_at, "last_ok_at": one.last_ok_at,
                })
            };
            ("push_subscriptions", all.into_iter().map(device).collect())
        }
        Section::Digests(page) => {
            let digest = page.into_iter().map(|one| {
                json!({
                    "id": one.id, "date": one.date, "created_at": one.created_at,
                    "notification_id": one.notification, "content": told(one.content),
                })
            });
            ("digests", digest.collect())
        }
        Section::Consents(page) => {
            let said = page.into_iter().map(|one| json!(ConsentEntryOut::from(one)));
            ("consents", said.collect())
        }
        Section::Disclosures(page) => {
            let seen = page.into_iter().map(|one| json!(DisclosureOut::from(one)));
            ("disclosures", seen.collect())
        }
        Section::Audit(page) => {
            let row = page.into_iter().map(|one| {
                json!({
                    "id": one.id, "at": one.at, "actor": one.actor, "action": one.action, "subject": one.subject,
                    "detail": told(one.detail), "address": one.address,
                })
            });
            ("audit", row.collect())
        }
        Section::Messages(page) => {
            ("webhook_messages", page.into_iter().map(|one| elsewhere(one, "event", "happened_at")).collect())
        }
        Section::Templates(all) => {
            let one = all.into_iter().map(|(name, version)| json!({"name": name, "version": version}));
            ("template_versions", one.collect())
        }
        Section::Outside(texts) => ("redis", texts.into_iter().map(told).collect()),
    }
}

fn content(one: Notification) -> Value {
    json!({
        "id": one.id, "uuid": one.uuid, "type": one.kind, "topic": one.topic, "title": one.title,
        "message": one.message, "data": told(one.data), "created_at": one.created_at,
    })
}

fn entry((entry, ways): (WholeEntry, Vec<(WholeDelivery, Vec<Attempt>)>)) -> Value {
    let way = |(one, tries): (WholeDelivery, Vec<Attempt>)| {
        let tries = tries.into_iter().map(|attempt| {
            json!({
                "attempt": attempt.number, "at": attempt.at, "took_ms": attempt.took_ms, "provider": attempt.provider,
                "state": attempt.state.name(), "reason": attempt.reason,
            })
        });
        json!({
            "id": one.id, "channel": one.channel.name(), "state": State::from_number(one.state).name(),
            "reason": one.reason, "provider": one.provider.0, "provider_id": one.provider.1,
            "to_guardian": one.to_guardian, "created_at": one.times.0, "finished_at": one.times.1,
            "attempts": tries.collect::<Vec<_>>(),
        })
    };
    let [sent_at, confirmed_at, read_at, deleted_at] = entry.times;
    let one = entry.notification;
    json!({
        "id": one.id, "uuid": one.uuid, "type": one.kind, "topic": one.topic, "title": one.title,
        "message": one.message, "data": told(one.data), "priority": one.priority.name(),
        "action_url": one.action_url, "created_at": one.created_at, "expires_at": one.expires_at,
        "sender": entry.sender, "wanted": entry.wish.map(told),
        "sent_at": sent_at, "confirmed_at": confirmed_at, "confirmed_by": entry.confirmed_by, "read_at": read_at,
        "deleted_at": deleted_at, "hushed": entry.hush,
        "deliveries": ways.into_iter().map(way).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_is_one_object_however_it_is_cut() {
        let mut writer = ExportWriter::default();
        let mut text = writer.section(Section::Templates(vec![("a".into(), 1)]));
        text += &writer.section(Section::Templates(Vec::new()));
        text += &writer.section(Section::Templates(vec![("b".into(), 2)]));
        text += &writer.section(Section::Outside(Vec::new()));
        text += &writer.section(Section::Sent(Vec::new()));
        text += &writer.end();
        let read: Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(read["template_versions"][1]["name"], "b", "{text}");
        assert_eq!((&read["redis"], &read["sent"]), (&json!([]), &json!([])));
    }
}
