//! A small disk of its own for tests of full disks: a tmpfs, mounted as we are or, where that is not allowed, by running the test once
//! more as root of a user namespace.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::programs::missing;

/// Set for a test that runs inside a namespace of ours.
const INSIDE: &str = "MESSO_TEST_IN_NAMESPACE";

/// Unmounted when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts `size` (as `mount` takes it: `2m`) at a folder that is there; `test` is the calling test's whole name, as the harness prints
    /// it. `None`: the test is to return; it has passed inside a namespace, or nobody may mount here, which is said (and fails
    /// under `MESSO_REQUIRE_ALL=1`). It panics when the test failed inside.
    pub fn mount(at: &Path, size: &str, test: &str) -> Option<SmallDisk> {
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "messo-prova"]).arg(at).output();
        if mounted.is_ok_and(|ran| ran.status.success()) {
            return Some(SmallDisk(at.to_owned()));
        }
        if std::env::var_os(INSIDE).is_some() || !Self::runs_inside(test) {
            missing("montare un tmpfs non è permesso, né da qui né in un user namespace (unshare)");
        }
        None
    }

    /// Runs the test again as root of a namespace; false where there are none.
    fn runs_inside(test: &str) -> bool {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount"]).arg(std::env::current_exe().unwrap());
        let ran = command.args([test, "--exact", "--nocapture"]).env(INSIDE, "1").output();
        let Ok(ran) = ran else { return false };
        let text = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        if !text.contains("running 1 test") {
            assert!(!text.contains("running 0 tests"), "no test is called {test}");
            return false;
        }
        assert!(ran.status.success(), "{test}, in a namespace:\n{text}");
        println!("{test}: in uno user namespace");
        true
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
