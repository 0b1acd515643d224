//! A template that can be used: sources that were checked and compiled, once.

use super::sandbox::Sandbox;
use super::sources::place;
use super::{RenderError, Scene, Sources, Wording};
use crate::domain::{Locale, TemplateName};

/// A template.
#[derive(Debug)]
pub struct Template {
    name: TemplateName,
    version: i64,
    sources: Sources,
    sandbox: Sandbox,
}

/// What everybody sees first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// One line.
    pub title: String,
    /// The text.
    pub message: String,
}

/// A button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// What the page hears of.
    pub action: String,
    /// What stands on it.
    pub title: String,
}

/// What is said, on each surface: by a template, or in a sender's own words. What a surface has no words for falls back
/// to the title and the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// In which language.
    pub locale: Locale,
    /// The title and the message.
    pub texts: Texts,
    /// As a text message.
    pub sms: Option<String>,
    /// Of an e-mail.
    pub subject: Option<String>,
    /// Of an e-mail.
    pub text: Option<String>,
    /// Of an e-mail: elements of a short list and escaped text.
    pub(super) html: Option<String>,
    /// Of a push message.
    pub buttons: Vec<Button>,
}

impl Words {
    /// What its sender wrote, without a template.
    pub fn own(title: &str, message: &str, locale: &Locale) -> Self {
        Self {
            locale: locale.clone(),
            texts: Texts { title: line(title), message: prose(message) },
            sms: None,
            subject: None,
            text: None,
            html: None,
            buttons: Vec::new(),
        }
    }
}

/// All on one line, without control characters.
pub fn line(text: &str) -> String {
    let words: Vec<&str> = text.split(|letter: char| letter.is_whitespace() || letter.is_control()).collect();
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Without control characters but line ends, at most one empty line at once, nothing at the ends of lines.
pub fn prose(text: &str) -> String {
    let clean: String =
        text.chars().filter(|letter| !letter.is_control() || matches!(letter, '\n' | '\t')).collect();
    let mut lines: Vec<&str> = Vec::new();
    for line in clean.lines().map(str::trim_end) {
        if !(line.is_empty() && lines.last().is_none_or(|before| before.is_empty())) {
            lines.push(line);
        }
    }
    lines.join("\n").trim_end().to_owned()
}

impl Template {
    /// Checks and compiles `sources`.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn new(name: TemplateName, version: i64, sources: Sources) -> Result<Self, RenderError> {
        sources.check()?;
        let mut sandbox = Sandbox::default();
        for (place, source) in sources.all() {
            for used in sandbox.add(&place, source)? {
                if !sources.required.contains(&used) && !sources.optional.contains(&used) {
                    let reason =
                        format!("`{used}` is used, but is neither among required nor among optional");
                    return Err(RenderError::faulty(&place, 1, reason));
                }
            }
        }
        Ok(Self { name, version, sources, sandbox })
    }

    /// Its name.
    pub const fn name(&self) -> &TemplateName {
        &self.name
    }

    /// Its version; 0: built in.
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// What its author wrote.
    pub const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The words in the wanted language, in one that is near it, or in the template's own.
    fn wording<'a>(&'a self, wanted: &Locale) -> Option<(&'a Locale, &'a Wording)> {
        let locales = &self.sources.locales;
        let near = wanted.chain().find_map(|locale| locales.get_key_value(&locale));
        near.or_else(|| locales.get_key_value(&self.sources.default_locale))
    }

    /// Renders it on all surfaces.
    ///
    /// # Errors
    /// What the data lacks, or what is wrong with the template.
    pub fn words(&self, scene: &Scene) -> Result<Words, RenderError> {
        if let Some(variable) = self.sources.required.iter().find(|name| !scene.has(name)) {
            return Err(RenderError::Missing { variable: variable.clone() });
        }
        let (locale, wording) = self
            .wording(&scene.locale)
            .ok_or_else(|| RenderError::broken("default_locale", "one of the languages in locales"))?;
        let context = scene.context(locale);
        let render = |surface: &str| self.sandbox.render(&place(locale, surface), &context);
        let some = |is_there: bool, surface: &str| is_there.then(|| render(surface)).transpose();
        let email = wording.email.as_ref();
        let texts = Texts { title: line(&render("title")?), message: prose(&render("message")?) };
        let sms = some(wording.sms.is_some(), "sms")?;
        let subject = some(email.is_some_and(|email| email.subject.is_some()), "email.subject")?;
        let text = some(email.is_some_and(|email| email.text.is_some()), "email.text")?;
        let html = some(email.is_some_and(|email| email.html.is_some()), "email.html")?;
        let button = |(index, action): (usize, &super::Action)| {
            let title = line(&render(&format!("actions[{index}]"))?);
            Ok(Button { action: action.action.clone(), title })
        };
        let buttons = wording.actions.iter().enumerate().map(button).collect::<Result<_, _>>()?;
        Ok(Words {
            locale: locale.clone(),
            texts,
            sms: sms.map(|text| line(&text)),
            subject: subject.map(|text| line(&text)),
            text: text.map(|text| prose(&text)),
            html: html.map(|text| prose(&text)),
            buttons,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, Instant};

    use super::*;
    use crate::domain::Zone;
    use crate::render::{EmailSources, Letterhead, Mail};
    use serde_json::{Value, json};

    /// A template whose every value is optional.
    fn template(title: &str, html: Option<&str>) -> Result<Template, RenderError> {
        let email = EmailSources { html: html.map(str::to_owned), ..EmailSources::default() };
        let wording = |title: &str| Wording {
            title: title.to_owned(),
            message: "m".to_owned(),
            email: Some(email.clone()),
            ..Wording::default()
        };
        let sources = Sources {
            description: String::new(),
            kind: "k".to_owned(),
            priority: Default::default(),
            channels: Vec::new(),
            required: Vec::new(),
            optional: ["a", "b", "x", "list"].map(str::to_owned).to_vec(),
            default_locale: Locale::default(),
            locales: [("en", title), ("es", "es {{ a }}")]
                .map(|(locale, title)| (Locale::new(locale).unwrap(), wording(title)))
                .into(),
        };
        Template::new(TemplateName::new("t").unwrap(), 1, sources)
    }

    fn said_in(locale: &str, title: &str, html: Option<&str>, data: &Value) -> Result<Words, RenderError> {
        let scene = Scene::new(data, Locale::new(locale).unwrap(), Zone::UTC)?;
        template(title, html)?.words(&scene)
    }

    fn title(source: &str, data: Value) -> Result<String, RenderError> {
        said_in("en", source, None, &data).map(|words| words.texts.title)
    }

    #[test]
    fn values_are_written() {
        let data = json!({"a": "x", "b": 2.5, "list": ["p", "q", "r"], "x": {"y": "z"}});
        for (source, said) in [
            ("{{ a }} {{ b }} {{ x.y }}", "x 2.5 z"),
            ("{{ list|list }}", "p, q and r"),
            ("{{ list[1] }}{{ list|first }}{{ list|length }}", "qp3"),
            ("{{ a|upper }} {{ b|round(0) }} {{ 'abcdef'|truncate(4) }}", "X 3 abc…"),
            ("{% for one in list %}{{ one }}{% if not loop.last %}/{% endif %}{% endfor %}", "p/q/r"),
            ("{% if a is defined and b == 2.5 %}yes{% endif %}", "yes"),
            ("{{ '2025-09-15'|date }}", "15 September 2025"),
            ("<b> & {{ '<' }}", "<b> & <"),
        ] {
            assert_eq!(title(source, data.clone()).as_deref(), Ok(said), "{source}");
        }
        assert_eq!(title("{{ a|default('none given') }}", json!({})).as_deref(), Ok("none given"));
    }

    #[test]
    fn the_nearest_language_speaks() {
        let say = |locale| said_in(locale, "en {{ a }}", None, &json!({"a": 1})).unwrap().texts.title;
        for (locale, said) in
            [("es-MX", "es 1"), ("es", "es 1"), ("en-US", "en 1"), ("el", "en 1"), ("zh-Hant-TW", "en 1")]
        {
            assert_eq!(say(locale), said, "{locale}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |source: &str, data: Value| match title(source, data) {
            Err(RenderError::Missing { variable }) => variable,
            other => panic!("{source}: {other:?}"),
        };
        assert_eq!(missing("{{ a }}", json!({})), "a");
        assert_eq!(missing("{{ a }}", json!({"a": null})), "a");
        assert_eq!(missing("{{ a }}", json!({"a": " "})), "a");
        assert_eq!(missing("{{ x.y.z }}", json!({"x": {}})), "x");
        assert_eq!(missing("{{ x.y }}", json!({"x": {"z": 1}})), "x.y");
        assert_eq!(missing("{% if a %}x{% endif %}", json!({})), "a");
        assert_eq!(missing("{% for one in list %}{{ one }}{% endfor %}x", json!({})), "list");
        assert_eq!(missing("{{ a|date }}", json!({})), "a");
        assert!(matches!(title("{{ x.y }}", json!({"x": {"y": null}})), Err(RenderError::Faulty { .. })));
        assert!(matches!(title("{{ list }}", json!({"list": [1]})), Err(RenderError::Faulty { .. })));
    }

    #[test]
    fn names_that_nobody_gives_are_found_before() {
        let fault = template("{{ studnet }}", None).unwrap_err();
        assert!(fault.to_string().contains("`studnet` is used"), "{fault}");
        for bad in ["{{ a", "{{ a|nothing }}", "{% if a %}", "{{ a.b( }}", "{% endif %}", "  "] {
            assert!(template(bad, None).is_err(), "{bad}");
        }
    }

    /// Ends, with a fault, and soon: in a build that was not made fast, on a machine that has other things to do.
    #[track_caller]
    fn ends_badly(source: &str, data: &Value) {
        let since = Instant::now();
        let outcome = said_in("en", source, None, data);
        let shown: String = source.chars().take(60).collect();
        assert!(outcome.is_err(), "{shown}");
        assert!(!outcome.unwrap_err().to_string().is_empty());
        assert!(since.elapsed() < Duration::from_secs(5), "{shown}: {:?}", since.elapsed());
    }

    #[test]
    fn attacks_end_soon() {
        let long = "z".repeat(15_000);
        let data = json!({"a": long, "b": 1, "list": (0..3_000).collect::<Vec<_>>(), "x": {"y": 1}});
        let each = "{% for p in list %}";
        for source in [
            format!("{each}{each}{each}x{0}{0}{0}", "{% endfor %}"),
            format!("{each}{{{{ a }}}}{{% endfor %}}"),
            format!("{each}{{% if a|upper == a|lower %}}y{{% endif %}}{{% endfor %}}"),
            "{{ range(1000000000) }}".to_owned(),
            "{% for i in range(1000000000) %}x{% endfor %}".to_owned(),
            "{{ a.__class__ }}".to_owned(),
            "{{ a.upper() }}".to_owned(),
            "{{ x.items() }}".to_owned(),
            "{{ self }}".to_owned(),
            "{{ debug() }}".to_owned(),
            "{{ namespace() }}".to_owned(),
            "{{ loop }}".to_owned(),
            "{{ lipsum(1000) }}".to_owned(),
            "{{ config }}".to_owned(),
            "{{ a|attr('b') }}".to_owned(),
            "{{ a|safe }}".to_owned(),
            "{{ a|tojson }}".to_owned(),
            "{{ a|map('upper') }}".to_owned(),
            "{% include '/etc/passwd' %}".to_owned(),
            "{% include '../../secret' %}".to_owned(),
            "{% extends 'x' %}".to_owned(),
            "{% set a = a ~ a %}".repeat(60),
            "{{ 'a' * 100000000 }}".to_owned(),
            format!("{{{{ {}a{} }}}}", "(".repeat(4_000), ")".repeat(4_000)),
            format!("{{{{ {}a }}}}", "not ".repeat(4_000)),
            format!("{{{{ {}b }}}}", "-".repeat(15_000)),
            format!("{{{{ a{} }}}}", ".b".repeat(7_000)),
            format!("{{{{ a{} }}}}", "|upper".repeat(2_600)),
            format!("{{{{ {}a{} }}}}", "[".repeat(7_000), "]".repeat(7_000)),
            format!("{{{{ a {} a }}}}", "== a ".repeat(3_000)),
            format!("{{{{ a{} }}}}", " if a else a".repeat(1_300)),
            "{% if a %}".repeat(1_600),
            "{% for p in list recursive %}{{ loop(list) }}{% endfor %}".to_owned(),
            "{{ 9 // 0 }}".to_owned(),
            "{{ -9223372036854775808 - 9223372036854775807 - 9 / 0.0 }}{{ a - 1 }}".to_owned(),
        ] {
            ends_badly(&source, &data);
        }
        // Not wrong, but much.
        let source = format!("{each}{{% if a == a and list == list %}}{{% endif %}}{{% endfor %}}x");
        let since = Instant::now();
        said_in("en", &source, None, &data).ok();
        assert!(since.elapsed() < Duration::from_secs(5), "{source}: {:?}", since.elapsed());
        let large = json!({"a": "z".repeat(17_000)});
        assert!(matches!(said_in("en", "x", None, &large), Err(RenderError::Data(_))));
    }

    #[test]
    fn what_comes_from_data_stays_text() {
        let evil = "<script>alert(1)</script><img src=x onerror='a'>\" & </p>";
        let html = "<p>{{ a }}</p>{% for one in list %}<b>{{ one }}</b>{% endfor %}";
        let data = json!({"a": evil, "list": [evil]});
        for words in [
            said_in("en", "{{ a }}", Some(html), &data).unwrap(),
            said_in("en", "{{ a }}", None, &data).unwrap(),
            Words::own(evil, evil, &Locale::default()),
        ] {
            let head = Letterhead {
                sender: evil,
                action_url: Some("https://a.example/\"><script>"),
                base_url: None,
                unsubscribe: Some("https://a.example/\"><script>"),
            };
            let page = Mail::of(&words, &head).unwrap().html;
            let body = page.split("</style>").nth(1).unwrap();
            for bad in ["<script", "<img", "onerror='a'>"] {
                assert!(!body.contains(bad), "{bad}: {page}");
            }
            assert!(page.contains("&lt;script") || page.contains("&#60;script"), "{page}");
        }
        let words = said_in("en", "{{ a }}", None, &json!({"a": "one\r\nBcc: x@example.org\u{7}"})).unwrap();
        let mail = Mail::of(&words, &Letterhead::default()).unwrap();
        assert_eq!(mail.subject, "one Bcc: x@example.org");
    }

    /// Whatever is put together of what templates are made of: it is refused, or ends; and what comes of it is small, and
    /// has no element that its author may not write.
    #[test]
    fn anything_at_all_is_bounded() {
        let pieces = [
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#}",
            " a ",
            " b",
            "list",
            "x",
            ".y",
            "|",
            "upper",
            "list",
            "date",
            "length",
            "'",
            "\"",
            " if ",
            " endif ",
            " else ",
            " for ",
            " in ",
            " endfor ",
            " is defined ",
            " not ",
            "(",
            ")",
            "[",
            "]",
            "0",
            "-",
            "<",
            ">",
            "<p>",
            "</p>",
            "<a href=\"https://a.example\">",
            "&",
            "text",
            "\n",
            "{{ a }}",
            "{{ list|list }}",
            "{% for one in list %}",
            "{% endfor %}",
            "{% if a is defined %}",
            "{% endif %}",
            "{{ one }}",
            "é",
            "<script>",
        ];
        let data = json!({"a": "<script>alert(1)</script>", "b": 2, "list": ["<b>", "\"'"], "x": {"y": "<i onclick=x>"}});
        let scene = Scene::new(&data, Locale::default(), Zone::UTC).unwrap();
        let mut dice = 7_u64;
        let mut roll = |sides: usize| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(dice >> 33).unwrap() % sides
        };
        let mut rendered = 0;
        for _ in 0..4_000 {
            let many = 1 + roll(8);
            let source: String = (0..many).map(|_| pieces[roll(pieces.len())]).collect();
            let Ok(template) = template("t", Some(&source)) else { continue };
            let Ok(words) = template.words(&scene) else { continue };
            rendered += 1;
            let html = words.html.unwrap();
            assert!(html.len() <= 64 * 1024);
            assert!(!html.contains("<script") && !html.contains("onclick=x>"), "{source}: {html}");
            let elements = html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap());
            for element in elements {
                assert!(["p", "/p", "a href=\"https://a.example\""].contains(&element), "{source}: {html}");
            }
        }
        assert!(rendered > 200, "only {rendered} of them could be rendered");
    }

    #[test]
    fn lines_and_paragraphs_are_tidy() {
        assert_eq!(line(" a \n\tb\u{0}c "), "a b c");
        assert_eq!(prose("\n\na  \n\n\n\nb\u{7}\n"), "a\n\nb");
    }
}
