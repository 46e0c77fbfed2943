//! What an act asks for on a day: dated cases from the norms, a hundred thousand random lives against a reckoning made apart, and the
//! examples of `docs/importi.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

#[path = "amounts/cds.rs"]
mod cds;
#[path = "amounts/document.rs"]
mod document;
#[path = "amounts/lives.rs"]
mod lives;
#[path = "amounts/taxes.rs"]
mod taxes;

fn day(text: &str) -> jiff::civil::Date {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}
