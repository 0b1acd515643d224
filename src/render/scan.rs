//! What a source may be made of, looked at before it is compiled: conditions, loops and values. There are no assignments,
//! no calls of other templates, and nothing by which a value could grow.

use super::RenderError;

/// Bytes of one source.
pub const LONGEST_SOURCE: usize = 16 * 1024;
/// Conditions, loops and brackets in one another.
const DEEPEST: usize = 16;
/// What a tag may begin with.
const TAGS: [&str; 6] = ["if", "elif", "else", "endif", "for", "endfor"];

/// What may be done with a value; `filters.rs` has their bodies.
pub const FILTERS: [&str; 12] = [
    "date", "datetime", "default", "first", "length", "list", "lower", "round", "time", "trim", "truncate",
    "upper",
];
/// What may be asked of a value.
pub const TESTS: [&str; 6] = ["defined", "none", "number", "sequence", "string", "undefined"];
/// Words that may stand before a bracket without calling anything.
const KEYWORDS: [&str; 7] = ["and", "else", "elif", "if", "in", "not", "or"];

/// A part of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// What is written as it stands.
    Text(&'a str),
    /// A value that is written.
    Value,
    /// A condition, a loop, a comment.
    Tag,
}

/// Reads a source.
struct Scanner<'a> {
    place: &'a str,
    source: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn fault(&self, reason: impl Into<String>) -> RenderError {
        let line = self.source.as_bytes()[..self.at.min(self.source.len())].iter();
        RenderError::faulty(self.place, 1 + line.filter(|byte| **byte == b'\n').count(), reason)
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Goes on behind an expression, which ends before `end`.
    fn expression(&mut self, end: &str) -> Result<(), RenderError> {
        let (mut open, mut before) = (0_usize, "");
        loop {
            let rest = self.rest();
            let Some(letter) = rest.chars().next() else {
                return Err(self.fault(format!("this is not closed by {end}")));
            };
            if open == 0 && rest.starts_with(end) {
                self.at += end.len();
                return Ok(());
            }
            match letter {
                '"' | '\'' => {
                    self.text(letter)?;
                    before = "";
                    continue;
                }
                letter if letter.is_alphabetic() || letter == '_' => {
                    before = self.word(before)?;
                    continue;
                }
                letter if letter.is_whitespace() => {}
                '|' => before = "|",
                '(' | '[' => open += 1,
                ')' | ']' => open = open.saturating_sub(1),
                '*' | '+' | '~' => {
                    let reason = format!("`{letter}` is not taken here; write texts and values side by side");
                    return Err(self.fault(reason));
                }
                ':' | '{' | '}' => return Err(self.fault(format!("`{letter}` is not taken here"))),
                _ => {}
            }
            if !letter.is_whitespace() && letter != '|' {
                before = "";
            }
            if open > DEEPEST {
                return Err(self.fault(format!("at most {DEEPEST} brackets may stand in one another")));
            }
            self.at += letter.len_utf8();
        }
    }

    /// Goes on behind a word, which stands behind `before`: a filter, a test, or the name of a value.
    fn word(&mut self, before: &str) -> Result<&'a str, RenderError> {
        let rest = self.rest();
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let is_called = behind.trim_start().starts_with('(');
        match before {
            "|" if !FILTERS.contains(&word) => {
                return Err(
                    self.fault(format!("there is no filter `{word}`; there are {}", FILTERS.join(", ")))
                );
            }
            "is" if word != "not" && !TESTS.contains(&word) => {
                return Err(self.fault(format!("there is no test `{word}`; there are {}", TESTS.join(", "))));
            }
            "|" | "is" => {}
            _ if is_called && !KEYWORDS.contains(&word) => {
                return Err(self.fault(format!("`{word}` cannot be called: nothing can be but filters")));
            }
            _ => {}
        }
        self.at += end;
        Ok(match (before, word) {
            ("is", "not") => "is",
            _ => word,
        })
    }

    /// Goes on behind a quoted text.
    fn text(&mut self, quote: char) -> Result<(), RenderError> {
        let mut letters = self.rest().char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            if letter == '\\' {
                letters.next();
            } else if letter == quote {
                self.at += at + 1;
                return Ok(());
            }
        }
        Err(self.fault("this text has no closing quote"))
    }

    /// Goes on behind a tag; returns its first word.
    fn tag(&mut self) -> Result<&'a str, RenderError> {
        self.at += 2;
        let rest = self.rest().trim_start_matches('-').trim_start();
        let word = rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next();
        let word = word.unwrap_or_default();
        if !TAGS.contains(&word) {
            let reason = format!("`{word}` is no tag that may be used; {} are", TAGS.join(", "));
            return Err(self.fault(reason));
        }
        self.at = self.source.len() - rest.len() + word.len();
        self.expression("%}")?;
        Ok(word)
    }
}

/// Takes `source` apart.
///
/// # Errors
/// What may not stand in it, and where.
pub fn parts<'a>(place: &'a str, source: &'a str) -> Result<Vec<Part<'a>>, RenderError> {
    let mut scanner = Scanner { place, source, at: 0 };
    if source.len() > LONGEST_SOURCE {
        return Err(scanner.fault(format!("it is longer than {LONGEST_SOURCE} bytes")));
    }
    let (mut parts, mut depth) = (Vec::new(), 0_usize);
    while scanner.at < source.len() {
        let rest = scanner.rest();
        let next = rest
            .match_indices('{')
            .map(|(at, _)| at)
            .find(|at| matches!(rest.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')));
        let text = &rest[..next.unwrap_or(rest.len())];
        if let Some(at) =
            text.find(|letter: char| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t'))
        {
            scanner.at += at;
            return Err(scanner.fault("there is a control character"));
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
            scanner.at += text.len();
        }
        match scanner.rest().as_bytes().get(1) {
            None => {}
            Some(b'{') => {
                scanner.at += 2;
                scanner.expression("}}")?;
                parts.push(Part::Value);
            }
            Some(b'%') => {
                match scanner.tag()? {
                    "if" | "for" => depth += 1,
                    "endif" | "endfor" => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if depth > DEEPEST {
                    return Err(scanner.fault(format!("at most {DEEPEST} tags may stand in one another")));
                }
                parts.push(Part::Tag);
            }
            Some(_) => {
                let Some(end) = scanner.rest().find("#}") else {
                    return Err(scanner.fault("this comment is not closed by #}"));
                };
                scanner.at += end + 2;
                parts.push(Part::Tag);
            }
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_stand_there_may() {
        for good in [
            "",
            "plain { text } and 100 %",
            "{{ a }} {{- b.c[0] -}} {{ a|date }} {{ \"}} * + ~\" }}",
            "{% if a is defined and b == 1 %}x{% elif not c %}y{%- else -%}z{% endif %}",
            "{% for x in list %}{{ x }}{% endfor %}{# * #}",
            "{{ 'it\\'s' }}",
            "{% if not (a or (b and c is not none)) %}{{ a|truncate(3)|upper }}{% endif %}",
        ] {
            assert!(parts("p", good).is_ok(), "{good}: {:?}", parts("p", good));
        }
    }

    #[test]
    fn what_may_not_is_found_with_its_line() {
        for (line, bad) in [
            (1, "{% set x = 1 %}"),
            (2, "\n{% include \"/etc/passwd\" %}"),
            (1, "{% extends 'a' %}"),
            (1, "{% import 'a' as b %}"),
            (1, "{% macro a() %}{% endmacro %}"),
            (1, "{% autoescape false %}{% endautoescape %}"),
            (1, "{% with a = 1 %}{% endwith %}"),
            (1, "{% raw %}{% endraw %}"),
            (1, "{%- set x = 1 %}"),
            (1, "{%+ set x = 1 %}"),
            (1, "{% %}"),
            (3, "a\nb\n{{ 'a' * 1000000 }}"),
            (1, "{{ a ~ a }}"),
            (1, "{{ a + a }}"),
            (1, "{{ a[1:] }}"),
            (1, "{{ {'a': 1} }}"),
            (1, "{{ a"),
            (1, "{% if a"),
            (1, "{# a"),
            (1, "{{ 'a }}"),
            (1, "a\u{0}"),
            (1, "{{ a|safe }}"),
            (1, "{{ a | b }}"),
            (1, "{{ a is divisibleby(2) }}"),
            (1, "{{ a is not b }}"),
            (1, "{{ range(9) }}"),
            (1, "{{ a.upper () }}"),
            (1, "{% for a in b(1) %}{% endfor %}"),
        ] {
            match parts("p", bad) {
                Err(RenderError::Faulty { line: found, .. }) => assert_eq!(found, line, "{bad}"),
                other => panic!("{bad}: {other:?}"),
            }
        }
        let deep = "{% if a %}".repeat(17);
        assert!(parts("p", &deep).is_err());
        let deep = format!("{{{{ {} }}}}", "(".repeat(17));
        assert!(parts("p", &deep).is_err());
        assert!(parts("p", &"a".repeat(LONGEST_SOURCE + 1)).is_err());
    }
}
