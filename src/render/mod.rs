//! What is said: sources, a language and data become texts, e-mails, push messages and text messages.
//!
//! Promise: a function of what it is given, bounded in time and size; what is missing is an error that names it, never a
//! hole; what comes from data stays text. Knows no database and no network, and opens no file.

mod built_in;
mod dates;
mod fault;
mod filters;
mod html;
mod letter;
mod phrases;
mod push;
mod sandbox;
mod scan;
mod scene;
mod sms;
mod sources;
mod template;

pub use built_in::{built_in, built_ins};
pub use fault::RenderError;
pub use letter::{Letterhead, Mail};
pub use phrases::phrases as phrases_of;
pub use push::{Alert, LARGEST_PUSH, Pictures, Push, Retraction};
pub use scene::Scene;
pub use sms::Sms;
pub use sources::{Action, EmailSources, Sources, Wording};
pub use template::{Button, Template, Texts, Words};
