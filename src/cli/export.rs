//! `messo export`: reconciliation exports are written again, byte for byte; `messo export verify` looks through a folder of them.
//! Exit codes: 0 done, 1 refused, not found, or something is wrong in the folder, 2 wrongly asked, 3 hub or store not reachable.

use std::path::PathBuf;
use std::process::ExitCode;

use super::hub::{self, Common, OptionalReason};
use super::table::pairs;
use crate::outbox::verify::{self, Finding};
use crate::service::control::Request;
use crate::service::report::ExportReport;
use crate::text::it::exports as words;

/// Scrive di nuovo le rendicontazioni, uguali agli originali, in `rendicontazioni/copie/`; oppure controlla una cartella.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Dal numero N (con --source), oppure dalla notte AAAA-MM-GG.
    #[arg(long, value_name = "N|DATA", required = true)]
    from: Option<String>,
    /// Fino al numero, o alla notte, compresa. Se manca: soltanto quella di --from.
    #[arg(long, value_name = "N|DATA")]
    to: Option<String>,
    /// Soltanto questo gestionale (obbligatorio con i numeri, che sono suoi).
    #[arg(long, value_name = "GESTIONALE")]
    source: Option<String>,
    #[command(flatten)]
    reason: OptionalReason,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Controlla le rendicontazioni di una cartella: ne manca una? una è stata cambiata? i totali tornano?
    Verify(Verify),
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// La cartella: `rendicontazioni/` di un gestionale, o dove l'ufficio le conserva.
    dir: PathBuf,
    /// Scrive un solo oggetto JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    if let Some(What::Verify(wanted)) = &args.what {
        return verified(wanted);
    }
    let from = args.from.unwrap_or_default();
    let to = args.to.unwrap_or_else(|| from.clone());
    let request = Request::Export { source: args.source, from, to, reason: args.reason.reason };
    hub::run(&args.common, request, |report: &ExportReport| {
        let written = pairs(&[("File scritti", report.files.to_string())]);
        report.copies.iter().fold(written, |text, copy| text + copy + "\n")
    })
}

fn verified(wanted: &Verify) -> ExitCode {
    let checked = match verify::folder(&wanted.dir) {
        Ok(checked) => checked,
        Err(error) => {
            eprintln!("messo: {}: {error}", wanted.dir.display());
            return ExitCode::from(2);
        }
    };
    if wanted.json {
        let findings: Vec<_> = checked
            .findings
            .iter()
            .map(|finding| serde_json::json!({"code": finding.code(), "file": finding.file(), "message": words::sentence(finding.code(), &finding.about())}))
            .collect();
        println!("{}", serde_json::json!({"files": checked.files, "exports": checked.exports, "findings": findings}));
    } else {
        for finding in &checked.findings {
            println!("{} {}: {}", finding.code(), finding.file(), words::sentence(finding.code(), &finding.about()));
        }
        println!("{}", words::verified(checked.files, checked.exports, checked.findings.len()));
    }
    let ok = checked.exports > 0 && checked.findings.iter().all(|finding| matches!(finding, Finding::Begins { .. }));
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
