//! Carillon, a notification server that speaks Socket.IO.
//!
//! The map. Each floor uses only floors below it; folders on one floor do not know each other
//! (`tests/architecture.rs` sees to it):
//!
//! | floor | folders | promise |
//! |---|---|---|
//! | roof | [`app`], [`parts`], [`cli`], [`config`], [`sections`], [`secrets`], [`lifecycle`], [`listen`] | everything is put together here |
//! | 5 | [`gateway`], [`http`] | protocols; no rule of the product lives here |
//! | 4 | [`service`] | what a caller may ask; knows no protocol |
//! | 3 | [`delivery`] | from stored to confirmed |
//! | 2 | [`realtime`] | who is here, and telling them; never blocks |
//! | 1 | [`store`], [`access`], [`render`] | what is durable; who may do what; what is said |
//! | 0 | [`domain`], [`telemetry`] | nouns and pure rules; logs and metrics |
//!
//! The journey of a notification: `gateway` (decode) → `service::Notify` → `store` (one transaction) →
//! `delivery::Live` → the answer → `delivery::Confirmations`.
//!
//! Invariants: nothing is answered before it is durable. For one recipient, everything happens in the
//! order of commits. What is not known to have arrived is never called delivered.

pub mod access;
pub mod app;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod domain;
pub mod gateway;
pub mod http;
pub mod lifecycle;
pub mod listen;
pub mod parts;
pub mod realtime;
pub mod render;
pub mod secrets;
pub mod sections;
pub mod service;
pub mod store;
pub mod telemetry;
