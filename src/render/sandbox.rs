//! Sources that somebody else wrote, compiled and run within bounds: by steps, by size, and with nothing in reach but what
//! they are given.

use std::io::{self, Write};

use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::scan::{self, Part};
use super::{RenderError, filters, html};

/// Steps of one source. A text of some lines takes a hundred.
const FUEL: u64 = 5_000;
/// Bytes that one source may write.
const LARGEST_OUTPUT: usize = 64 * 1024;
/// Sources whose names end so are HTML: values in them are escaped.
const HTML: &str = ".html";

/// Compiled sources, by where they stand.
#[derive(Debug)]
pub struct Sandbox(Environment<'static>);

/// Takes so much and no more.
struct Limited(Vec<u8>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST_OUTPUT {
            return Err(io::Error::other("too much"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        let mut environment = Environment::empty();
        environment.set_debug(true);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(64);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|place| match place.ends_with(HTML) {
            true => AutoEscape::Html,
            false => AutoEscape::None,
        });
        // Whatever would look odd, or leave a hole, is a fault.
        environment.set_formatter(|out, state, value| match value.as_str().is_some() || value.is_number() {
            true => minijinja::escape_formatter(out, state, value),
            false if value.is_undefined() => Err(Error::from(ErrorKind::UndefinedError)),
            false if value.is_none() => {
                Err(Error::new(ErrorKind::InvalidOperation, "nothing (null) cannot be written"))
            }
            false => {
                let reason = "only texts and numbers can be written; a list is by the filter list";
                Err(Error::new(ErrorKind::InvalidOperation, reason))
            }
        });
        filters::equip(&mut environment);
        Self(environment)
    }
}

impl Sandbox {
    /// Takes a source; returns the names of all values that it uses.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn add(&mut self, place: &str, source: &str) -> Result<Vec<String>, RenderError> {
        let parts = scan::parts(place, source)?;
        if place.ends_with(HTML) {
            html::check(place, source, &parts)?;
        }
        if parts.iter().all(|part| matches!(part, Part::Text(text) if text.trim().is_empty())) {
            return Err(RenderError::faulty(place, 1, "there is no text"));
        }
        let added = self.0.add_template_owned(place.to_owned(), source.to_owned());
        added.map_err(|fault| explained(place, &fault))?;
        let compiled = self.0.get_template(place).map_err(|fault| explained(place, &fault))?;
        let mut used: Vec<String> = compiled.undeclared_variables(false).into_iter().collect();
        used.sort_unstable();
        Ok(used)
    }

    /// Renders the source at `place`.
    ///
    /// # Errors
    /// What it lacks, or why it ended.
    pub fn render(&self, place: &str, context: &Value) -> Result<String, RenderError> {
        let compiled = self.0.get_template(place).map_err(|fault| explained(place, &fault))?;
        let mut out = Limited(Vec::new());
        match compiled.render_captured_to(context.clone(), &mut out) {
            Ok(_) => Ok(String::from_utf8_lossy(&out.0).into_owned()),
            Err(fault) => Err(explained(place, &fault)),
        }
    }
}

/// The fault, in words for whoever wrote the template or the data.
fn explained(place: &str, fault: &Error) -> RenderError {
    let detail = fault.detail().unwrap_or_default();
    if let Some(variable) = undefined(detail) {
        return RenderError::Missing { variable: variable.to_owned() };
    }
    let reason = match fault.kind() {
        ErrorKind::OutOfFuel => {
            format!("it takes more than {FUEL} steps; make it simpler, or the data smaller")
        }
        ErrorKind::WriteFailure => format!("it writes more than {LARGEST_OUTPUT} bytes"),
        _ => fault.to_string().split(" (in ").next().unwrap_or_default().to_owned(),
    };
    RenderError::faulty(place, fault.line().unwrap_or(1), reason)
}

/// What is undefined, if that is the fault.
fn undefined(detail: &str) -> Option<&str> {
    let before = detail.split("` is undefined").next().filter(|before| before.len() < detail.len())?;
    before.rsplit('`').next()
}
