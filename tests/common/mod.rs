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
pub mod office;
pub mod process;
pub mod programs;
pub mod published;
pub mod specification;

pub use contract::{ContractProxy, ContractReport, Exchange};
pub use examples::{Example, example_cases, zip_dir, zip_entries};
pub use process::{Child, free_port, messo, messo_bin, wait_for};
pub use programs::{node_modules, python, require, require_path, require_python, shared_dir};
