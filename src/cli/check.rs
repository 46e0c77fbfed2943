//! `messo check`: the configuration and its flows, every problem with file and line. Exit code 0: valid; 1: problems.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, ConfigFault, LoadedConfig, MailFault, Problems};
use crate::outbox::mail::Templates;
use crate::text::it::config as text;

/// Controlla la configurazione e i flussi.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File di configurazione.
    #[arg(long, value_name = "FILE", default_value = "/etc/messo/messo.toml")]
    config: PathBuf,
    /// Scrive un solo oggetto JSON: {"ok", "problems": [{"file", "line", "key", "code", "message"}], "warnings": [...]}.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let loaded = config::load(&args.config).and_then(with_templates);
    let problems = loaded.as_ref().err().map(|problems| problems.list.as_slice()).unwrap_or_default();
    let mut out = String::new();
    let warnings = loaded.as_ref().map(text::warnings).unwrap_or_default();
    if args.json {
        let list: Vec<_> = problems
            .iter()
            .map(|problem| {
                let message = text::sentence(&problem.fault);
                serde_json::json!({"file": problem.file, "line": problem.line, "key": problem.key, "code": problem.fault.code(), "message": message})
            })
            .collect();
        out = serde_json::json!({"ok": loaded.is_ok(), "problems": list, "warnings": warnings}).to_string() + "\n";
    } else {
        match &loaded {
            Ok(loaded) => {
                out = text::valid(loaded) + "\n";
                out.extend(warnings.iter().map(|line| format!("{line}\n")));
            }
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

/// The templates of mails are part of the configuration: each is rendered with samples of every kind.
fn with_templates(loaded: LoadedConfig) -> Result<LoadedConfig, Problems> {
    let Some(folder) = loaded.config.mail.as_ref().and_then(|mail| mail.templates.as_deref()) else { return Ok(loaded) };
    let mut problems = Problems::default();
    for fault in Templates::load(Some(folder)).1 {
        let file = folder.join(&fault.name).display().to_string();
        problems.add(&file, fault.line, "", ConfigFault::Mail(MailFault::Template { message: fault.message }));
    }
    if problems.list.is_empty() { Ok(loaded) } else { Err(problems) }
}
