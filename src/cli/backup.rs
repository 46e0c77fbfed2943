//! `messo backup`: a copy of everything, through the hub if one runs; `--verify` reads one again by itself. Exit codes: 0 done, 1
//! refused or faulty, 2 wrongly asked, 3 hub or store not reachable.

use std::path::PathBuf;
use std::process::ExitCode;

use super::hub::{self, Common, OptionalReason};
use super::table::{pairs, plain, section, when};
use crate::service::backup::verify;
use crate::service::control::Request;
use crate::service::operate::BackupFault;
use crate::service::report::{BackupReport, VerifyReport};
use crate::text::it::backup as words;

/// Copia di sicurezza di tutto ciò che messo conserva, anche a servizio acceso.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Cartella delle copie: vuota, o già usata per le copie. Con --verify anche una copia sola.
    #[arg(value_name = "CARTELLA")]
    dir: PathBuf,
    /// Rilegge una copia e controlla ogni file; non ne fa una nuova.
    #[arg(long)]
    verify: bool,
    /// Con --verify: quale copia; senza, la più recente.
    #[arg(long, value_name = "NOME", requires = "verify")]
    at: Option<String>,
    /// Quante copie tenere: le più vecchie sono tolte, e va detto il motivo. Senza, tutte.
    #[arg(long, value_name = "N", conflicts_with = "verify", requires = "reason", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    keep: Option<u32>,
    #[command(flatten)]
    reason: OptionalReason,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let dir = std::path::absolute(&args.dir).unwrap_or(args.dir);
    if args.verify {
        return check(&dir, args.at.as_deref(), args.common.json);
    }
    let request = Request::Backup { dir: dir.display().to_string(), keep: args.keep, reason: args.reason.reason };
    hub::run(&args.common, request, print)
}

fn check(dir: &std::path::Path, at: Option<&str>, json: bool) -> ExitCode {
    match verify(dir, at) {
        Ok(report) => {
            hub::put(&if json { hub::json(&report) } else { print_check(&report) });
            ExitCode::from(u8::from(report.faults > 0))
        }
        Err(error) => {
            let fault = BackupFault::of(&error);
            let message = words::fault(fault.code, &dir.display().to_string(), &fault.detail);
            tell(fault.code, &message, json)
        }
    }
}

/// An error of a command that asks no hub.
pub(super) fn tell(code: &str, message: &str, json: bool) -> ExitCode {
    if json {
        hub::put(&hub::json(&serde_json::json!({ "error": { "code": code, "message": message, "exit": 1 } })));
    } else {
        eprintln!("messo: {}", plain(message));
    }
    ExitCode::from(1)
}

/// `12,3 MB`.
fn size(bytes: u64) -> String {
    let units = [("GB", 1u64 << 30), ("MB", 1 << 20), ("kB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{},{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} byte"),
    }
}

fn print(report: &BackupReport) -> String {
    pairs(&[
        ("Copia", format!("{}/{}", report.dir, report.name)),
        ("Stato delle", when(report.at)),
        ("Contiene", format!("{} lotti, {} atti ({} non conclusi)", report.batches, report.acts, report.open_acts)),
        ("File", format!("{} ({})", report.files, size(report.bytes))),
        ("Di cui nuovi", format!("{} ({})", report.new_files, size(report.new_bytes))),
        ("Non più conservati", some(report.missing)),
        ("Attestazioni rovinate", some(report.damaged)),
        ("Copie tolte", report.removed.join(" ")),
        ("Durata", format!("{:.1} s", report.seconds).replace('.', ",")),
    ])
}

fn some(count: u64) -> String {
    if count == 0 { String::new() } else { count.to_string() }
}

fn print_check(report: &VerifyReport) -> String {
    let verdict = if report.faults == 0 { "intatta".to_owned() } else { format!("NON intatta: {} file", report.faults) };
    let mut text = pairs(&[
        ("Copia", format!("{}/{}", report.dir, report.name)),
        ("Stato delle", when(report.at)),
        ("Fatta da messo", report.version.clone()),
        ("Contiene", format!("{} lotti, {} atti ({} non conclusi)", report.batches, report.acts, report.open_acts)),
        ("File", format!("{} ({})", report.files, size(report.bytes))),
        ("Non più conservati", some(report.missing)),
        ("Attestazioni rovinate", some(report.damaged)),
        ("Verifica", verdict),
    ]);
    let faults: Vec<Vec<String>> = report.named.iter().map(|line| vec![plain(line)]).collect();
    text.push_str(&section("File non intatti", &[""], &faults));
    text
}
