//! Traces: what happened to a notification, and when, for those who ask for it ([decision 45]). Off, it costs one look at a number.
//!
//! [decision 45]: ../../docs/decisions/0045-a-trace-is-named-after-its-notification.md

use std::future::Future;
use std::sync::OnceLock;

use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Spans that wait to be told; more are lost.
pub const WAITING: usize = 16_384;

/// Settings of `[telemetry]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceSettings {
    /// Where a collector takes traces by OTLP over HTTP: `http://localhost:4318`. Empty: nobody is told.
    pub endpoint: String,
    /// Headers that are sent along, with the collector's token perhaps: `name=value, other=value`.
    #[serde(serialize_with = "masked")]
    pub headers: String,
    /// Which part of all notifications is told of, from 0 to 1. Who sends `traceparent` decides for what they send.
    pub sample_ratio: String,
    /// What this service is called there.
    pub service_name: String,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            headers: String::new(),
            sample_ratio: "1".to_owned(),
            service_name: "carillon".to_owned(),
        }
    }
}

fn masked<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if text.is_empty() { "" } else { "********" })
}

/// In whose trace something happens: `traceparent` of W3C Trace Context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: [u8; 16],
    /// The span.
    pub span: [u8; 8],
    /// Whether it is told of.
    pub is_sampled: bool,
}

impl Parent {
    /// Reads `00-<32 hex>-<16 hex>-<2 hex>`.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_known = version.len() == 2 && version != "ff" && (version != "00" || parts.next().is_none());
        let (trace, span): ([u8; 16], [u8; 8]) = (bytes(trace)?, bytes(span)?);
        let [flags]: [u8; 1] = bytes(flags)?;
        let is_set = trace != [0; 16] && span != [0; 8];
        (is_known && is_set).then_some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }

    /// As it was read.
    pub fn written(&self) -> String {
        format!("00-{}-{}-{:02x}", hex(&self.trace), hex(&self.span), u8::from(self.is_sampled))
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = text.len() == 2 * N && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate().filter(|_| is_hex) {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    is_hex.then_some(bytes)
}

/// Bytes as text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Something that happened to a notification.
#[derive(Clone, Debug)]
pub struct Span {
    /// The notification's number.
    pub notification: i64,
    /// If it was accepted here: its second name, and in whose trace that was.
    pub accepted: Option<(Uuid, Option<Parent>)>,
    /// What: `accept`, `commit`, `dispatch`, `send`, `confirm`.
    pub name: &'static str,
    /// From then, in microseconds since 1970.
    pub start: i64,
    /// Until then.
    pub end: i64,
    /// What else there is to say: never who, and never what it says.
    pub facts: Vec<(&'static str, String)>,
    /// Whether it went wrong.
    pub is_failed: bool,
}

/// Where spans are noted.
#[derive(Default)]
pub struct Traces {
    line: OnceLock<mpsc::Sender<Span>>,
    lost: Counter,
}

impl Traces {
    /// Begins to take spans; `lost` counts those for which there is no room.
    pub(super) fn new(lost: Counter) -> Self {
        Self { line: OnceLock::new(), lost }
    }

    /// Somebody wants to hear of spans from now on.
    pub fn listen(&self) -> mpsc::Receiver<Span> {
        let (line, spans) = mpsc::channel(WAITING);
        self.line.set(line).ok();
        spans
    }

    /// Whether anybody wants to hear of spans.
    pub fn is_on(&self) -> bool {
        self.line.get().is_some()
    }

    /// Notes a span, if somebody wants to hear of it.
    pub fn note(&self, span: impl FnOnce() -> Span) {
        if let Some(line) = self.line.get()
            && line.try_send(span()).is_err()
        {
            self.lost.inc();
        }
    }
}

tokio::task_local! {
    static PARENT: Parent;
}

/// Does `work` in this trace.
pub async fn within<T>(parent: Parent, work: impl Future<Output = T>) -> T {
    PARENT.scope(parent, work).await
}

/// In whose trace this task works.
pub fn parent() -> Option<Parent> {
    PARENT.try_with(|parent| *parent).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparents_are_read_as_w3c_says() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(Parent::read(text).map(|parent| parent.written()).as_deref(), Some(text));
        assert!(Parent::read("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-comes").is_some());
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-ébf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Parent::read(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn nobody_listens_and_nothing_is_made() {
        let traces = Traces::default();
        traces.note(unreachable_span);
        assert!(!traces.is_on());
        let parent = Parent { trace: [1; 16], span: [2; 8], is_sampled: true };
        assert_eq!(within(parent, async { super::parent() }).await, Some(parent));
        assert_eq!(super::parent(), None);
    }

    fn unreachable_span() -> Span {
        panic!("nobody wants it")
    }
}
