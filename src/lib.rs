//! messo: the legal acts of Italian public administrations, from the gestionali that write them to the citizens they
//! concern, with proof. Files come in on the left, files go out on the right, and the rules in the middle never touch a
//! socket, a disk or a clock. Imports go down only: `tests/architecture.rs` holds the table.

/// Points at which a test stops the process; first, so that `failpoint!` is known everywhere.
#[macro_use]
pub mod failpoint;
/// Bytes of a drop to acts, or to problems with file, row, column and code.
pub mod batch;
/// One command, one file.
pub mod cli;
/// The business clock and the monotonic one.
pub mod clock;
/// The configuration: typed, closed, checked as a whole.
pub mod config;
/// Outside systems: SEND (PND).
pub mod connectors;
/// Values and rules of the trade: no I/O, no clock, no file format.
pub mod domain;
/// The engine: total, pure transitions of every durable subject.
pub mod flow;
/// Where drops come from: watched folders now.
pub mod intake;
/// Threads that carry the connections of a door.
pub mod lanes;
/// What gestionali read back: rendered purely, placed whole.
pub mod outbox;
/// HTTP that others call: partner tecnologici.
pub mod rest;
/// Simulators of the outside systems; shares `domain` with the rest, nothing else.
pub mod sandbox;
/// The wiring: takes what intake hands over through batch, flow, store and connectors to the outbox.
pub mod service;
/// The only SQL, and the archives of what was dropped.
pub mod store;
/// Logs: ids and codes, never personal data.
pub mod telemetry;
/// Every sentence that an operator or a gestionale reads.
pub mod text;
