//! `messo check`: the configuration and its flows, every problem with file and line. Exit code 0: valid; 1: problems.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, ConfigFault, LoadedConfig, MailFault, Problems, PtFault, PtKind};
use crate::connectors::pt::declared;
use crate::domain::position::CostChannel;
use crate::outbox::mail::Templates;
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
    let loaded = config::load(&args.config).and_then(with_templates).and_then(with_descriptions);
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

/// So are the descriptions of declared PTs: each is rendered with sample data.
fn with_descriptions(loaded: LoadedConfig) -> Result<LoadedConfig, Problems> {
    let mut problems = Problems::default();
    let config = &loaded.config;
    for pt in config.pts.iter().filter(|pt| pt.kind == PtKind::Declared) {
        let mut routes = config.institutions.iter().flat_map(|institution| institution.payments.iter());
        let pushes = routes.any(|route| route.pt == pt.name && route.costs == CostChannel::Push);
        for located in declared::check(pt, pushes) {
            problems.add(&located.file, located.line, &located.key, ConfigFault::Pt(PtFault::Definition(located.fault)));
        }
    }
    if problems.list.is_empty() { Ok(loaded) } else { Err(problems) }
}
