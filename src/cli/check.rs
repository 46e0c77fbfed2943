//! `messo check`: the configuration and its flows, every problem with file and line. Exit code 0: valid; 1: problems.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config;
use crate::text::it::config as text;

/// Controlla la configurazione e i flussi.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File di configurazione.
    #[arg(long, value_name = "FILE", default_value = "/etc/messo/messo.toml")]
    config: PathBuf,
    /// Scrive un solo oggetto JSON: {"ok", "problems": [{"file", "line", "key", "code", "message"}]}.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let loaded = config::load(&args.config);
    let problems = loaded.as_ref().err().map(|problems| problems.list.as_slice()).unwrap_or_default();
    let mut out = String::new();
    if args.json {
        let list: Vec<_> = problems
            .iter()
            .map(|problem| {
                let message = text::sentence(&problem.fault);
                serde_json::json!({"file": problem.file, "line": problem.line, "key": problem.key, "code": problem.fault.code(), "message": message})
            })
            .collect();
        out = serde_json::json!({"ok": loaded.is_ok(), "problems": list}).to_string() + "\n";
    } else {
        match &loaded {
            Ok(loaded) => out = text::valid(loaded) + "\n",
            Err(problems) => out.push_str(&text::lines(problems)),
        }
    }
    if loaded.is_ok() && !args.json && rustix::process::geteuid().is_root() {
        eprintln!("{}", crate::text::it::service::CHECKED_AS_ROOT);
    }
    // A closed pipe is the reader's choice: the exit code still tells.
    let _ = std::io::stdout().write_all(out.as_bytes());
    if loaded.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
