//! `messo where`: where a drop is. It shows the names of files as senders wrote them, which may hold personal data.
//! Exit codes: 0 found, 1 never seen, 2 wrongly asked, 3 hub or store not reachable.

use std::process::ExitCode;

use super::hub::{self, Common};
use super::table::{known, plain, section, table, when_known};
use crate::service::control::Request;
use crate::service::report::{Journey, Step, WhereReport};
use crate::text::it::{operate, parking, privacy as words};

/// Dice dov'è un lotto: dal deposito all'ultimo esito.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Nome del file come è stato depositato, impronta SHA-256, identificativo del lotto (o il suo inizio), riferimento, protocollo
    /// o IUN di un suo atto.
    #[arg(value_name = "NOME|ID|IMPRONTA")]
    text: String,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let report: Result<WhereReport, _> = hub::asked(&args.common, Request::Where { text: args.text });
    let seen = report.as_ref().is_ok_and(|report| !report.journeys.is_empty());
    let told = report.is_ok();
    let code = hub::tell(&args.common, report, print);
    if told && !seen { ExitCode::from(1) } else { code }
}

fn print(report: &WhereReport) -> String {
    if report.journeys.is_empty() {
        let rows: Vec<Vec<String>> = report
            .nearest
            .iter()
            .map(|near| vec![plain(&near.name), near.source.clone(), near.batch.map_or_else(|| "-".to_owned(), |id| id.to_string())])
            .collect();
        return format!("{}{}", words::NEVER_SEEN, section("Nomi simili", &["file", "gestionale", "lotto"], &rows));
    }
    let told: Vec<String> = report.journeys.iter().map(journey).collect();
    let more = if report.more { "\nCe ne sono altri, più vecchi.\n" } else { "" };
    format!("{}{more}", told.join("\n"))
}

fn journey(journey: &Journey) -> String {
    let name = journey.name.clone().unwrap_or_else(|| words::ERASED_NAME.to_owned());
    let batch = journey.batch.map_or_else(|| "nessun lotto".to_owned(), |batch| format!("lotto {batch}"));
    let mut text = format!("{}: {}, {batch}\n", known(journey.source.as_deref()), plain(&name));
    let rows: Vec<Vec<String>> = journey.steps.iter().map(|step| vec![when_known(step.at), plain(&sentence(step))]).collect();
    text.extend(table(&[], &rows).lines().map(|line| format!("  {line}\n")));
    text
}

/// One step in words.
fn sentence(step: &Step) -> String {
    let kind = serde_json::to_value(step.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
    let mut text = words::step(&kind).to_owned();
    let code = step.code.as_deref().unwrap_or_default();
    let add = |text: &mut String, part: String| {
        if !part.is_empty() {
            text.push_str(", ");
            text.push_str(&part);
        }
    };
    let count = step.count.unwrap_or(0);
    match kind.as_str() {
        "CARICATO_SFTP" | "RINOMINATO_SFTP" | "TOLTO_SFTP" => {
            if code != "OK" {
                add(&mut text, code.to_owned());
            }
            if let Some(bytes) = step.count {
                add(&mut text, format!("{bytes} byte"));
            }
        }
        "CARICAMENTO_A_META" | "NOME_PROVVISORIO" | "IN_ATTESA" | "IGNORATO" | "PRESO" => add(&mut text, format!("{count} byte")),
        "ESAMINATO" => {
            let (accepted, refused) = (step.accepted.unwrap_or(0), step.refused.unwrap_or(0));
            add(&mut text, format!("{code}: atti accettati {accepted}, scartati {refused}"));
        }
        "ATTI" => {
            let meaning = if code == "SOSPESO" { "serve una persona" } else { operate::state(code) };
            text = format!("{count} {} {code} ({meaning})", if count == 1 { "atto" } else { "atti" });
        }
        "PROSSIMO_LAVORO" => {
            let (job, parked) = code.split_once('/').map_or((code, ""), |(job, _)| (job, ", sospeso: serve una persona"));
            text =
                format!("prossimo lavoro: {}{} ({count}){parked}", operate::job(job), if operate::job(job).is_empty() { job } else { "" });
        }
        "TRATTENUTO" => add(&mut text, format!("{code}: {}", operate::hold(code))),
        "AVVISO" => add(&mut text, format!("{code} {}", parking::sentence(code).unwrap_or_default())),
        "DATI_CANCELLATI" => add(&mut text, words::cause(code).to_owned()),
        "IN_LETTURA" => {}
        _ => add(&mut text, code.to_owned()),
    }
    if let Some(path) = &step.path {
        add(&mut text, path.clone());
    }
    if let Some(batch) = step.batch {
        add(&mut text, batch.to_string());
    }
    let files: Vec<String> = step.files.iter().map(|file| format!("{}/{}", file.folder, file.name)).collect();
    if !files.is_empty() {
        text.push_str(": ");
        text.push_str(&files.join(" "));
    }
    text
}
