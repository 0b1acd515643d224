//! The HTML that an e-mail may be written in: a few elements, links to fixed addresses, and values only as text.
//!
//! What is not taken is refused where it is written. So nothing must be cleaned when it is rendered: each `<` in the
//! outcome was one of the author's, and belongs to an element of this list.

use super::RenderError;
use super::scan::Part;

/// Elements.
const ELEMENTS: [&str; 25] = [
    "a",
    "b",
    "blockquote",
    "br",
    "code",
    "dd",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "hr",
    "i",
    "li",
    "ol",
    "p",
    "small",
    "strong",
    "table",
    "tbody",
    "td",
    "th",
    "tr",
    "ul",
];
/// What a link begins with.
const SCHEMES: [&str; 3] = ["https://", "http://", "mailto:"];

/// Checks the parts of a source.
///
/// # Errors
/// What is not taken, and in which line of `source`.
pub fn check(place: &str, source: &str, parts: &[Part<'_>]) -> Result<(), RenderError> {
    for part in parts {
        let Part::Text(text) = part else { continue };
        let mut rest = *text;
        while let Some(start) = rest.find('<') {
            let tag = &rest[start..];
            let fault = |reason: String| {
                let at = tag.as_ptr() as usize - source.as_ptr() as usize;
                let line = source.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
                RenderError::faulty(place, line + 1, reason)
            };
            let Some(end) = tag.find('>') else {
                let reason =
                    "an element must be written whole, without values or conditions in it; &lt; is a sign";
                return Err(fault(reason.to_owned()));
            };
            element(&tag[1..end]).map_err(fault)?;
            rest = &tag[end + 1..];
        }
    }
    Ok(())
}

/// Checks what stands between `<` and `>`.
fn element(inner: &str) -> Result<(), String> {
    let (inner, closes) = match inner.strip_prefix('/') {
        Some(inner) => (inner, true),
        None => (inner.strip_suffix('/').unwrap_or(inner).trim_end(), false),
    };
    let (name, attributes) =
        inner.split_once(|letter: char| letter.is_ascii_whitespace()).unwrap_or((inner, ""));
    if !ELEMENTS.contains(&name) {
        return Err(format!("<{name}> is not taken; {} are", ELEMENTS.join(", ")));
    }
    let attributes = attributes.trim();
    if attributes.is_empty() {
        return Ok(());
    }
    let address = attributes.strip_prefix("href=\"").and_then(|rest| rest.strip_suffix('"'));
    let is_plain =
        |address: &str| !address.chars().any(|letter| letter.is_control() || "\"<>\\ `".contains(letter));
    match address {
        Some(address) if name == "a" && !closes && is_plain(address) => {
            let is_known = SCHEMES.iter().any(|scheme| address.starts_with(scheme));
            if is_known {
                Ok(())
            } else {
                Err("href must begin with https://, http:// or mailto:".to_owned())
            }
        }
        _ => Err("the only attribute that is taken is href=\"…\" of <a>".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::scan::parts;

    fn checked(source: &str) -> Result<(), RenderError> {
        check("p", source, &parts("p", source)?)
    }

    #[test]
    fn plain_html_is_taken() {
        for good in [
            "",
            "a &lt; b",
            "<p>Hello <strong>{{ name }}</strong><br>and<br/> so on<hr /></p>",
            "<ul>{% for x in list %}<li>{{ x }}</li>{% endfor %}</ul>",
            "<a href=\"https://school.example/a?b=c&amp;d\">here</a>",
            "<a href=\"mailto:office@school.example\">write</a>",
        ] {
            assert_eq!(checked(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_could_do_harm_is_not() {
        for bad in [
            "<script>alert(1)</script>",
            "<SCRIPT>",
            "<img src=x onerror=alert(1)>",
            "<p onclick=\"x\">",
            "<p style=\"background:url(https://evil)\">",
            "<a href=\"javascript:alert(1)\">",
            "<a href=\" https://a\">",
            "<a href=\"https://a\" onclick=\"x\">",
            "<a href='https://a'>",
            "<a href=\"https://a\" href=\"javascript:x\">",
            "<a href=\"{{ url }}\">x</a>",
            "<{{ tag }}>",
            "<p{% if a %}>{% endif %}",
            "a < b",
            "<!-- x -->",
            "<svg/onload=x>",
            "<",
            "</p onclick=x>",
            "<p\n/onclick=x>",
        ] {
            assert!(checked(bad).is_err(), "{bad}");
        }
        let late = checked("<p>\n\n<img>");
        assert!(matches!(late, Err(RenderError::Faulty { line: 3, .. })), "{late:?}");
    }
}
