//! What a template may do with a value. Each filter takes little, gives little, and counts what it has to do.

use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::dates::{Shape, written};
use super::phrases::phrases;
use super::scene::{LOCALE, ZONE};
use crate::domain::written::cut;
use crate::domain::{Locale, Zone};

/// Bytes that the filters of one source may go through.
const MOST_WORK: usize = 256 * 1024;
/// Letters that are shown of what is cut, at most.
const LONGEST_CUT: usize = 2_000;

/// What filters went through so far.
struct Work(usize);

fn wrong(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.into())
}

/// The text of a value that can be written; how long it is counts.
fn text(state: &mut State, value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        // Its fault names what is undefined.
        value.get_attr("text")?;
    }
    let text = match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_number() => value.to_string(),
        None => return Err(wrong("this is taken only of a text or a number")),
    };
    let work = state.get_or_insert_extension(Work(0));
    work.0 += text.len();
    if work.0 > MOST_WORK { Err(wrong("too much is done here")) } else { Ok(text) }
}

fn locale(state: &State) -> Locale {
    let named = state.lookup(LOCALE);
    named.as_ref().and_then(Value::as_str).and_then(|name| Locale::new(name).ok()).unwrap_or_default()
}

fn time(state: &mut State, value: &Value, shape: Shape) -> Result<String, Error> {
    let text = text(state, value)?;
    let zone = state.lookup(ZONE);
    let zone = zone.as_ref().and_then(Value::as_str).and_then(Zone::named).unwrap_or_default();
    written(&text, shape, zone, &locale(state)).map_err(wrong)
}

/// `a, b and c`, in the language.
fn list(state: &mut State, value: &Value) -> Result<String, Error> {
    if value.as_str().is_some() {
        return text(state, value);
    }
    let mut items = Vec::new();
    for item in value.try_iter()? {
        items.push(text(state, &item)?);
    }
    let and = phrases(&locale(state)).and;
    let Some(last) = items.pop() else { return Err(wrong("the list is empty")) };
    Ok(if items.is_empty() { last } else { format!("{} {and} {last}", items.join(", ")) })
}

fn number(value: Option<u32>, usual: usize) -> usize {
    value.map_or(usual, |many| usize::try_from(many).unwrap_or(usual)).min(LONGEST_CUT)
}

/// Gives `environment` its filters and tests.
pub fn equip(environment: &mut Environment<'_>) {
    environment.add_filter("date", |state: &mut State, value: &Value| time(state, value, Shape::Date));
    environment.add_filter("time", |state: &mut State, value: &Value| time(state, value, Shape::Time));
    environment
        .add_filter("datetime", |state: &mut State, value: &Value| time(state, value, Shape::DateTime));
    environment.add_filter("list", list);
    environment.add_filter("upper", |state: &mut State, value: &Value| {
        text(state, value).map(|text| text.to_uppercase())
    });
    environment.add_filter("lower", |state: &mut State, value: &Value| {
        text(state, value).map(|text| text.to_lowercase())
    });
    environment.add_filter("trim", |state: &mut State, value: &Value| {
        text(state, value).map(|text| text.trim().to_owned())
    });
    environment.add_filter("truncate", |state: &mut State, value: &Value, most: Option<u32>| {
        text(state, value).map(|text| cut(&text, number(most, 100)))
    });
    environment.add_filter("length", |state: &mut State, value: &Value| match value.as_str() {
        Some(_) => text(state, value).map(|text| text.chars().count()),
        None => value.len().ok_or_else(|| wrong("this has no length")),
    });
    environment.add_filter("first", |value: &Value| {
        value.try_iter()?.next().ok_or_else(|| wrong("the list is empty"))
    });
    environment.add_filter("round", |value: f64, places: Option<u32>| {
        let scale = 10_f64.powi(i32::try_from(places.unwrap_or(0).min(6)).unwrap_or(0));
        let rounded = (value * scale).round() / scale;
        if places.unwrap_or(0) == 0 { format!("{rounded:.0}") } else { rounded.to_string() }
    });
    environment.add_filter("default", |value: &Value, other: Value| {
        if value.is_undefined() || value.is_none() { other } else { value.clone() }
    });
    environment.add_test("defined", minijinja::tests::is_defined);
    environment.add_test("undefined", minijinja::tests::is_undefined);
    environment.add_test("none", minijinja::tests::is_none);
    environment.add_test("string", minijinja::tests::is_string);
    environment.add_test("number", minijinja::tests::is_number);
    environment.add_test("sequence", minijinja::tests::is_sequence);
}
