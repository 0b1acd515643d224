//! What operators see: logs and metrics. Knows nothing of notifications beyond their counts.

mod log;
mod metrics;
mod outcomes;
mod pulse;
mod task;
pub mod traces;
mod wall;

pub use log::{LogError, LogFormat, Settings, start as start_logging};
pub use metrics::Metrics;
pub use outcomes::{Outcome, Refusal};
pub use pulse::{Pulse, Spans, Timed};
pub use task::{vital, vital_thread};
pub use wall::tell as tell_of_silence;
