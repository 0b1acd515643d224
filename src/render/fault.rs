//! Why something cannot be said.

/// What is wrong with a template, or with what it was given. `Display` is for whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The template needs this, and the data has none, or nothing but blanks.
    #[error("the template needs `{variable}`, which the data does not have; add it to data")]
    Missing {
        /// Its name: `student_name`, `student.name`.
        variable: String,
    },
    /// The template is at fault.
    #[error("{place}, line {line}: {reason}")]
    Faulty {
        /// Which source: `locales.en.title`.
        place: String,
        /// Where in it, from 1 on.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A rule for templates is broken.
    #[error("{field}: {expected}")]
    Broken {
        /// Which member of the template.
        field: String,
        /// What may stand there.
        expected: String,
    },
    /// The data cannot be used.
    #[error("data: {0}")]
    Data(String),
}

impl RenderError {
    /// Something in `place`, on this `line`.
    pub(super) fn faulty(place: &str, line: usize, reason: impl Into<String>) -> Self {
        Self::Faulty { place: place.to_owned(), line, reason: reason.into() }
    }

    /// A member that is not as it must be.
    pub(super) fn broken(field: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Broken { field: field.into(), expected: expected.into() }
    }
}
