//! What is kept of people, as it is written.

use std::collections::BTreeMap;

use askama::Template as _;
use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::schema::Type;

use super::*;
use crate::domain::{Contacts, Recipient, schemas};
use crate::service::{Erased, Report};
use crate::store::{Consent, Disclosure};

/// The page's own style, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
/// A report is of so many days, if nothing is said.
const USUAL_DAYS: i64 = 30;
const DAY: i64 = 24 * 60 * 60;

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[into_params(parameter_in = Query)]
pub struct PrivacyPageIn {
    /// Entries, 1 to 100; 20 if nothing is said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
    /// The last number seen: what came before it follows.
    #[param(minimum = 1)]
    pub cursor: Option<i64>,
}

/// What was forgotten.
#[derive(Serialize, ToSchema)]
#[schema(as = Erased)]
pub struct ErasedOut {
    user_id: String,
    /// How many rows of each table were removed, or lost a name (`notifications.sender`).
    removed: BTreeMap<&'static str, usize>,
    /// How many sockets were closed on the node that answers; others close theirs.
    sockets_closed: usize,
    /// What stays, in words: what this server cannot remove, and what goes by itself.
    remains: Vec<String>,
}

impl From<Erased> for ErasedOut {
    fn from(Erased { recipient, removed, sockets, remains }: Erased) -> Self {
        Self { user_id: recipient.user.as_str().to_owned(), removed, sockets_closed: sockets, remains }
    }
}

/// What somebody says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = ConsentChange)]
pub struct ConsentIn {
    /// To e-mails.
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false)]
    email: Option<bool>,
    /// To pushes.
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false)]
    push: Option<bool>,
    /// To text messages.
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false)]
    sms: Option<bool>,
    /// Where it was said, such as "paper form, 12 March"; up to 500 letters.
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false, max_length = 500)]
    note: Option<String>,
}

impl ConsentIn {
    /// What is said of which channels, and the note.
    ///
    /// # Errors
    /// When nothing is said, or too much of it.
    pub fn said(self) -> Result<(Vec<(Channel, bool)>, Option<String>), Broken> {
        let all = [(Channel::Email, self.email), (Channel::Push, self.push), (Channel::Sms, self.sms)];
        let said: Vec<_> = all.into_iter().filter_map(|(channel, said)| Some((channel, said?))).collect();
        if said.is_empty() {
            return Err(Broken {
                field: "email",
                expected: "at least one of email, push and sms, true or false",
            });
        }
        let is_long = |note: &String| note.chars().count() > 500 || note.chars().any(char::is_control);
        if self.note.as_ref().is_some_and(is_long) {
            return Err(Broken { field: "note", expected: "up to 500 letters, none of which controls" });
        }
        Ok((said, self.note))
    }
}

/// What is known of one channel.
#[derive(Serialize, ToSchema)]
#[schema(as = ChannelConsent)]
struct ChannelConsentOut {
    /// `given`, `withdrawn`, or `unknown`: they never said.
    status: &'static str,
}

/// Something that was said.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsentEntry)]
pub(super) struct ConsentEntryOut {
    id: i64,
    /// `email`, `push`, `sms`.
    channel: &'static str,
    /// Of which type of notifications; null: of all.
    r#type: Option<String>,
    is_given: bool,
    at: Timestamp,
    /// `api`, `preferences`, `one_click`, or `stop`.
    how: String,
    /// Who said so for them; null: they themselves.
    by: Option<String>,
    note: Option<String>,
}

impl From<Consent> for ConsentEntryOut {
    fn from(one: Consent) -> Self {
        Self {
            id: one.id,
            channel: one.channel.name(),
            r#type: values::some(one.kind),
            is_given: one.is_given,
            at: one.at,
            how: one.how,
            by: one.actor,
            note: one.note,
        }
    }
}

/// What somebody agrees to.
#[derive(Serialize, ToSchema)]
#[schema(as = Consents)]
pub struct ConsentsOut {
    user_id: String,
    is_minor: bool,
    channels: BTreeMap<&'static str, ChannelConsentOut>,
    /// The latest first.
    history: Vec<ConsentEntryOut>,
    next_cursor: Option<i64>,
}

/// At most `limit` of `page`, and the number of the last, if there are more.
fn cut<T>(mut page: Vec<T>, limit: i64, id: impl Fn(&T) -> i64) -> (Vec<T>, Option<i64>) {
    let limit = usize::try_from(limit).unwrap_or(0);
    let has_more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().map(id).filter(|_| has_more);
    (page, next)
}

impl ConsentsOut {
    /// Of this person; `said` is a page and perhaps one more.
    pub fn new(of: &Recipient, contacts: &Contacts, said: Vec<Consent>, limit: i64) -> Self {
        let status = |channel| match contacts.consents.of(channel) {
            _ if channel == Channel::Sms && contacts.has_stopped => "withdrawn",
            Some(true) => "given",
            Some(false) => "withdrawn",
            None => "unknown",
        };
        let channels = Channel::BEYOND.into_iter();
        let channels =
            channels.map(|channel| (channel.name(), ChannelConsentOut { status: status(channel) }));
        let (page, next_cursor) = cut(said, limit, |one| one.id);
        Self {
            user_id: of.user.as_str().to_owned(),
            is_minor: contacts.is_minor,
            channels: channels.collect(),
            history: page.into_iter().map(ConsentEntryOut::from).collect(),
            next_cursor,
        }
    }
}

/// Who saw, or was sent, what.
#[derive(Serialize, ToSchema)]
#[schema(as = Disclosure)]
pub(super) struct DisclosureOut {
    id: i64,
    at: Timestamp,
    about: String,
    /// A user, a service, or an audience such as `role:teacher`.
    to: String,
    /// Who sent it; null where somebody looked.
    by: Option<String>,
    /// `send`, or what was read, as the audit log calls it: `contacts.read`.
    action: String,
    notification_id: Option<i64>,
    r#type: Option<String>,
}

impl From<Disclosure> for DisclosureOut {
    fn from(one: Disclosure) -> Self {
        Self {
            id: one.id,
            at: one.at,
            about: one.about,
            to: one.recipient,
            by: one.actor,
            action: one.action,
            notification_id: one.notification,
            r#type: values::some(one.kind),
        }
    }
}

/// A page, the latest first.
#[derive(Serialize, ToSchema)]
#[schema(as = DisclosurePage)]
pub struct DisclosuresOut {
    disclosures: Vec<DisclosureOut>,
    next_cursor: Option<i64>,
}

impl DisclosuresOut {
    /// Of a page and perhaps one more.
    pub fn new(page: Vec<Disclosure>, limit: i64) -> Self {
        let (page, next_cursor) = cut(page, limit, |one| one.id);
        Self { disclosures: page.into_iter().map(DisclosureOut::from).collect(), next_cursor }
    }
}

/// Of which time, and how it is written.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[into_params(parameter_in = Query)]
pub struct ComplianceIn {
    /// From then; thirty days before `to`, if nothing is said.
    #[serde(default, deserialize_with = "values::instant")]
    from: Option<Timestamp>,
    /// Until then; now, if nothing is said.
    #[serde(default, deserialize_with = "values::instant")]
    to: Option<Timestamp>,
    /// `json`, `csv` or `html`; `json`, if nothing is said.
    #[param(value_type = Option<Form>)]
    format: Option<String>,
}

/// How a report is written.
#[derive(Clone, Copy)]
pub enum Form {
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
    /// To be printed.
    Html,
}

schemas! {
    "ComplianceForm": Form => ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["json", "csv", "html"]));
}

impl ComplianceIn {
    /// From when until when.
    ///
    /// # Errors
    /// When it ends before it begins.
    pub fn period(&self, now: Timestamp) -> Result<(Timestamp, Timestamp), Broken> {
        let to = self.to.unwrap_or(now);
        let from = self.from.unwrap_or_else(|| to.plus_seconds(-USUAL_DAYS * DAY));
        if from >= to {
            return Err(Broken { field: "from", expected: "a time before `to`" });
        }
        Ok((from, to))
    }

    /// How it is to be written.
    ///
    /// # Errors
    /// When there is no such form.
    pub fn form(&self) -> Result<Form, Broken> {
        match self.format.as_deref() {
            None | Some("json") => Ok(Form::Json),
            Some("csv") => Ok(Form::Csv),
            Some("html") => Ok(Form::Html),
            Some(_) => Err(Broken { field: "format", expected: "json, csv or html" }),
        }
    }
}

/// One count.
#[derive(Serialize, ToSchema)]
#[schema(as = ComplianceFigure)]
struct FigureOut {
    /// `audit`, `audit log`, `consent`, `disclosure`, `people`.
    section: &'static str,
    name: String,
    many: i64,
}

/// One thing that is looked at.
#[derive(Serialize, ToSchema)]
#[schema(as = ComplianceFinding)]
struct FindingOut {
    check: &'static str,
    is_well: bool,
    words: String,
}

/// A report.
#[derive(Serialize, ToSchema)]
#[schema(as = ComplianceReport)]
pub struct ReportOut {
    tenant: String,
    from: Timestamp,
    to: Timestamp,
    made_at: Timestamp,
    findings: Vec<FindingOut>,
    figures: Vec<FigureOut>,
}

impl From<&Report> for ReportOut {
    fn from(report: &Report) -> Self {
        let findings = report.findings.iter().map(|one| FindingOut {
            check: one.check,
            is_well: one.is_well,
            words: one.words.clone(),
        });
        let figures = report.figures.iter().map(|one| FigureOut {
            section: one.section,
            name: one.name.clone(),
            many: one.many,
        });
        Self {
            tenant: report.tenant.clone(),
            from: report.from,
            to: report.to,
            made_at: report.made_at,
            findings: findings.collect(),
            figures: figures.collect(),
        }
    }
}

#[derive(askama::Template)]
#[template(path = "compliance.html")]
struct Page<'a> {
    report: &'a ReportOut,
}

/// A cell of CSV (RFC 4180). Spreadsheets take what begins with one of these signs for a formula: then a `'` stands before it.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let mark = if is_formula { "'" } else { "" };
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}

fn csv(report: &ReportOut) -> String {
    let mut lines = vec![["section", "name", "value"].map(cell).join(",")];
    let mut add = |section: &str, name: &str, value: &str| {
        lines.push([section, name, value].map(cell).join(","));
    };
    add("report", "tenant", &report.tenant);
    add("report", "from", &report.from.to_string());
    add("report", "to", &report.to.to_string());
    add("report", "made_at", &report.made_at.to_string());
    for one in &report.findings {
        add(if one.is_well { "well" } else { "to be mended" }, one.check, &one.words);
    }
    for one in &report.figures {
        add(one.section, &one.name, &one.many.to_string());
    }
    lines.push(String::new());
    lines.join("\r\n")
}

impl Form {
    /// Writes it so.
    pub fn write(self, report: &Report) -> Response {
        let report = ReportOut::from(report);
        match self {
            Self::Json => Json(report).into_response(),
            Self::Csv => {
                let headers = [
                    (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
                    (
                        header::CONTENT_DISPOSITION,
                        HeaderValue::from_static("attachment; filename=\"compliance.csv\""),
                    ),
                ];
                (headers, csv(&report)).into_response()
            }
            Self::Html => {
                let page = Page { report: &report }.render().unwrap_or_default();
                ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(page)).into_response()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (text, written) in [
            ("plain", "\"plain\""),
            ("=1+1", "\"'=1+1\""),
            ("+49", "\"'+49\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("a\"b,c", "\"a\"\"b,c\""),
        ] {
            assert_eq!(cell(text), written);
        }
    }
}
