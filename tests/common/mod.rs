//! What end-to-end tests share: outside programs, child processes, examples, the contract proxy.
//!
//! A test file begins with `mod common;`. Helper functions of its own, outside `#[test]`, need the same `allow` as below:
//! clippy lifts `unwrap_used` and its sisters only inside `#[test]` functions.
//!
//! **Outside programs.** A test that needs one says [`programs::require`]; without it the test prints
//! `skipped: <program> non installato` and returns, and under `MESSO_REQUIRE_ALL=1` (the CI) it fails instead.
//! `tests/install-clients.sh` installs them all.
//!
//! **Python** is, in this order: `$MESSO_PYTHON`; the virtual environment that `tests/install-clients.sh` makes
//! (`$MESSO_VENV`, else `$XDG_CACHE_HOME/messo/python`, else `~/.cache/messo/python`); `python3` of the `PATH`.
//!
//! **Node.js** finds its packages in `$MESSO_NODE`, else in `messo/node` of the same cache folder.
//!
//! **Shared references** (the contract proxies and the official OpenAPI) are in `$MESSO_SHARED`, else in the folder
//! `shared` beside this repository; they are not part of it.
#![allow(dead_code, unused_imports, reason = "every test file uses its own part of this module")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step of a test ends that test, with its message"
)]

pub mod contract;
pub mod examples;
pub mod exported;
pub mod office;
pub mod process;
pub mod programs;
pub mod published;
pub mod small_disk;
pub mod specification;

pub use contract::{ContractProxy, ContractReport, Exchange};
pub use examples::{Example, example_cases, zip_dir, zip_entries};
pub use process::{Child, free_port, messo, messo_bin, timed, wait_for};
pub use programs::{node_modules, python, require, require_path, require_python, shared_dir};
pub use small_disk::SmallDisk;

/// A small generator: the same seed, the same choices.
pub struct Dice(pub u64);

impl Dice {
    /// Below `below`.
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}
