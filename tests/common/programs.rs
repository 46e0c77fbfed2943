//! Outside programs and folders: found, or the test is skipped (and fails under `MESSO_REQUIRE_ALL=1`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether tests may not be skipped.
pub fn require_all() -> bool {
    std::env::var("MESSO_REQUIRE_ALL").is_ok_and(|value| value == "1")
}

/// Prints why a test does nothing here, or fails it where everything must be there. Always false.
pub fn missing(what: &str) -> bool {
    assert!(!require_all(), "{what}: MESSO_REQUIRE_ALL=1 vieta di saltare la prova (bash tests/install-clients.sh)");
    println!("skipped: {what}");
    false
}

/// Whether `program` is on the `PATH`: `if !require("xmllint") { return; }`.
pub fn require(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| is_executable(&folder.join(program))) || missing(&format!("{program} non installato"))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The Python of the tests (see the module comment of `common`).
pub fn python() -> PathBuf {
    if let Some(told) = std::env::var_os("MESSO_PYTHON") {
        return told.into();
    }
    let environment = std::env::var_os("MESSO_VENV").map(PathBuf::from).or_else(|| cache().map(|cache| cache.join("messo/python")));
    environment.map(|folder| folder.join("bin/python3")).filter(|python| is_executable(python)).unwrap_or_else(|| "python3".into())
}

/// Whether [`python`] starts and can import `modules`.
pub fn require_python(modules: &[&str]) -> bool {
    let script = modules.iter().map(|module| format!("import {module}\n")).collect::<String>();
    let run = Command::new(python()).args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success()) || missing(&format!("python3 con {} non installato", modules.join(", ")))
}

/// Whether there is a folder or a file, which `tests/install-clients.sh` puts there.
pub fn require_path(path: &Path) -> bool {
    path.exists() || missing(&format!("{} non installato", path.display()))
}

/// Prometheus' own judge of rules and figures: of the `PATH`, else where `tests/install-clients.sh` puts it.
pub fn promtool() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("promtool")).find(|program| is_executable(program));
    installed.unwrap_or_else(|| cache().unwrap_or_default().join("messo/bin/promtool"))
}

/// Where `tests/install-clients.sh` puts the packages of Node.js: `$MESSO_NODE`, else `messo/node` in the cache folder.
pub fn node_modules() -> PathBuf {
    let folder = std::env::var_os("MESSO_NODE").map(PathBuf::from).or_else(|| cache().map(|cache| cache.join("messo/node")));
    folder.unwrap_or_default().join("node_modules")
}

fn cache() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
}

/// The folder of shared references, if it is there.
pub fn shared_dir() -> Option<PathBuf> {
    let told = std::env::var_os("MESSO_SHARED").map(PathBuf::from);
    let folder = told.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"));
    if folder.join("contract").is_dir() {
        return Some(folder.canonicalize().unwrap());
    }
    missing("cartella dei riferimenti condivisi (MESSO_SHARED) assente");
    None
}
