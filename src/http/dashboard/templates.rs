//! Templates: the list of them, and an editor that shows what is said before it is kept.

use askama::Template;
use axum::extract::{self, Path};

use super::editor::{Came, Editor, Version, choices, faulty, field, preview, sources};
use super::session::{Author, Fields, Form, Seat};
use super::words::instant;
use super::{Answer, Dashboard, View, see};
use crate::domain::{Locale, Priority, TemplateName};
use crate::render::Sources;
use crate::service::{Error, Shelved};
use crate::store::TemplateVersion;

/// Versions that are listed.
const VERSIONS: i64 = 20;
struct Row {
    name: String,
    kind: String,
    description: String,
    locales: String,
    version: i64,
    is_built_in: bool,
    changed: String,
}

#[derive(Template)]
#[template(path = "dashboard/templates.html")]
struct List {
    notice: String,
    rows: Vec<Row>,
}

/// `GET /dashboard/templates`.
pub async fn list(dashboard: extract::State<Dashboard>, Author(seat): Author, given: Fields) -> Answer {
    let all = dashboard.api.library.list(&seat.who).await.map_err(|fault| seat.fault(fault))?;
    let row = |Shelved { template, created_at, .. }: Shelved| {
        let sources = template.sources();
        let locales: Vec<_> = sources.locales.keys().map(Locale::to_string).collect();
        Row {
            name: template.name().to_string(),
            kind: sources.kind.clone(),
            description: sources.description.clone(),
            locales: locales.join(", "),
            version: template.version(),
            is_built_in: created_at.is_none(),
            changed: created_at.map(instant).unwrap_or_default(),
        }
    };
    let notice = match TemplateName::new(given.of("removed")) {
        Ok(name) => format!("{name} is used no more. What was sent by it stays as it is."),
        Err(_) => String::new(),
    };
    let body = List { notice, rows: all.into_iter().map(row).collect() }.render().unwrap_or_default();
    let view = View { title: "Templates", here: "templates", live: "", body };
    Ok(view.show(Some(&seat)))
}

fn show(seat: &Seat, title: &str, editor: &Editor) -> Answer {
    let body = editor.render().unwrap_or_default();
    Ok(View { title, here: "templates", live: "", body }.show(Some(seat)))
}

/// Does what the form asks for.
async fn done(
    dashboard: &Dashboard,
    seat: &Seat,
    given: &Fields,
    name: Option<&TemplateName>,
    before: Option<&Sources>,
) -> Came {
    let (sources, locale) = match sources(given, before) {
        Ok(both) => both,
        Err(came) => return came,
    };
    if given.of("do") == "preview" {
        return match preview(dashboard, seat, given, sources, locale).await {
            Ok(said) => Came::Previewed(Box::new(said)),
            Err(came) => came,
        };
    }
    let new_name = TemplateName::new(given.of("name").trim());
    let (name, is_new) = match (name, &new_name) {
        (Some(name), _) => (name, false),
        (None, Ok(name)) => (name, true),
        (None, Err(expected)) => return field("name", expected),
    };
    match dashboard.api.library.keep(&seat.who, name, sources, is_new).await {
        Ok(_) => Came::Kept,
        Err(Error::TemplateTaken) => Came::Faulty(
            "There is a template of this name".to_owned(),
            "Nothing was kept. Choose another name; or change the one there is, from the list of templates."
                .to_owned(),
        ),
        Err(fault) => faulty(fault.into()),
    }
}

/// `GET /dashboard/new-template`.
pub async fn new(Author(seat): Author) -> Answer {
    let (channels, priorities) = choices(&[], Priority::default());
    let english = Locale::default().to_string();
    let editor = Editor {
        channels,
        priorities,
        locale: english.clone(),
        default_locale: english,
        data: "{}".to_owned(),
        zone: "UTC".to_owned(),
        ..Editor::default()
    };
    show(&seat, "New template", &editor)
}

/// `POST /dashboard/new-template`.
pub async fn make(
    dashboard: extract::State<Dashboard>,
    Author(seat): Author,
    Form(given, _): Form,
) -> Answer {
    match done(&dashboard, &seat, &given, None, None).await {
        Came::Kept => Ok(see(&format!("/dashboard/templates/{}?kept=1", given.of("name").trim()))),
        came => {
            let mut editor = Editor::default();
            editor.typed(&given);
            editor.came(came);
            show(&seat, "New template", &editor)
        }
    }
}

/// A template by the name in the address: the version in use, and the one that is to be shown.
async fn found(
    dashboard: &Dashboard,
    seat: &Seat,
    name: &str,
    version: Option<i64>,
) -> Result<(TemplateName, Shelved, Shelved), Error> {
    let name = TemplateName::new(name).map_err(|_| Error::NoSuchTemplate)?;
    let library = &dashboard.api.library;
    let current = library.find(&seat.who, &name, None).await?;
    let shown = match version.filter(|version| *version != current.template.version()) {
        Some(version) => library.find(&seat.who, &name, Some(version)).await?,
        None => current.clone(),
    };
    Ok((name, current, shown))
}

/// An editor of what is shown, with all that is known beside it.
async fn editor(
    dashboard: &Dashboard,
    seat: &Seat,
    (name, current, shown): &(TemplateName, Shelved, Shelved),
    locale: Option<Locale>,
) -> Result<Editor, Error> {
    let (versions, _) = match dashboard.api.library.versions(&seat.who, name, None, VERSIONS).await {
        Err(Error::NoSuchTemplate) => (Vec::new(), false),
        versions => versions?,
    };
    let (base, from) = (current.template.version(), shown.template.version());
    let version = |one: TemplateVersion| Version {
        number: one.version,
        author: one.author.unwrap_or_default(),
        at: instant(one.created_at),
        is_shown: one.version == from,
    };
    let sources = shown.template.sources();
    let locale = locale.unwrap_or_else(|| match sources.locales.contains_key(&sources.default_locale) {
        true => sources.default_locale.clone(),
        false => sources.locales.keys().next().cloned().unwrap_or_default(),
    });
    Ok(Editor {
        name: name.to_string(),
        base,
        from,
        is_built_in: current.created_at.is_none(),
        versions: versions.into_iter().map(version).collect(),
        ..Editor::of(sources, &locale)
    })
}

/// `GET /dashboard/templates/{name}`.
pub async fn edit(
    dashboard: extract::State<Dashboard>,
    Author(seat): Author,
    Path(name): Path<String>,
    given: Fields,
) -> Answer {
    let version = given.of("version").parse().ok();
    let all = found(&dashboard, &seat, &name, version).await.map_err(|fault| seat.fault(fault))?;
    let locale = Locale::new(given.of("locale")).ok();
    let mut editor = editor(&dashboard, &seat, &all, locale).await.map_err(|fault| seat.fault(fault))?;
    if !given.of("kept").is_empty() {
        editor.notice = format!("Version {} is used from now on.", editor.base);
    }
    show(&seat, &name, &editor)
}

/// `POST /dashboard/templates/{name}`: keeps a new version, or shows what it would say.
pub async fn change(
    dashboard: extract::State<Dashboard>,
    Author(seat): Author,
    Path(name): Path<String>,
    Form(given, _): Form,
) -> Answer {
    let from = given.of("from").parse().ok();
    let all = found(&dashboard, &seat, &name, from).await.map_err(|fault| seat.fault(fault))?;
    let base = all.1.template.version();
    let is_stale = given.of("base") != base.to_string();
    let came = match given.of("do") != "preview" && is_stale {
        true => Came::Faulty(
            "The template was changed meanwhile".to_owned(),
            format!(
                "Version {base} is in use now, and you began with another. Nothing was kept. Look at version {base}, and \
                 keep yours if it is still what you want."
            ),
        ),
        false => done(&dashboard, &seat, &given, Some(&all.0), Some(all.2.template.sources())).await,
    };
    if let Came::Kept = came {
        let locale: String = form_urlencoded::byte_serialize(given.of("locale").as_bytes()).collect();
        let locale = if given.of("do") == "drop" { String::new() } else { format!("&locale={locale}") };
        return Ok(see(&format!("/dashboard/templates/{}?kept=1{locale}", all.0)));
    }
    let locale = Locale::new(given.of("locale")).ok();
    let mut editor = editor(&dashboard, &seat, &all, locale).await.map_err(|fault| seat.fault(fault))?;
    editor.typed(&given);
    editor.came(came);
    show(&seat, &name, &editor)
}

/// `POST /dashboard/templates/{name}/remove`.
pub async fn remove(
    dashboard: extract::State<Dashboard>,
    Author(seat): Author,
    Path(name): Path<String>,
    _: Form,
) -> Answer {
    let name = TemplateName::new(&name).map_err(|_| seat.fault(Error::NoSuchTemplate))?;
    dashboard.api.library.remove(&seat.who, &name).await.map_err(|fault| seat.fault(fault))?;
    Ok(see(&format!("/dashboard/templates?removed={name}")))
}
