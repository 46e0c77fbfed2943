//! `messo report`: the day of each ente. Exit codes: 0 told, 1 unknown ente, 2 wrongly asked, 3 hub or store not reachable.

use std::collections::BTreeMap;
use std::process::ExitCode;

use jiff::civil::Date;

use super::hub::{self, Common, OptionalReason};
use super::table::{euro, known, pairs, section, when};
use crate::domain::daily::{DailyReport, SHOWN};
use crate::domain::outcome::ReceiptState;
use crate::service::control::Request;
use crate::service::report::ReportList;
use crate::text::it::{operate as words, outcomes, parking};

/// Il rapporto di un giorno, ente per ente: lotti, stati, perfezionamenti, costi, rifiuti, atti fermi, prossimi invii.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Il giorno (AAAA-MM-GG, ora italiana); se manca, ieri.
    #[arg(long, value_name = "DATA", value_parser = day)]
    date: Option<Date>,
    /// Soltanto l'ente con questo codice fiscale.
    #[arg(long, value_name = "CODICE_FISCALE")]
    ente: Option<String>,
    /// Lo invia anche per posta a chi riceve il rapporto: va detto il motivo.
    #[arg(long, requires = "reason")]
    send: bool,
    #[command(flatten)]
    reason: OptionalReason,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let send = args.send;
    hub::run(&args.common, Request::Report { day: args.date, sender: args.ente, send, reason: args.reason.reason }, print)
}

fn day(text: &str) -> Result<Date, String> {
    // `2026-11-22T10:30` is a moment, not a day.
    let day = Some(text).filter(|text| text.len() == 10).and_then(|text| text.parse().ok());
    day.ok_or_else(|| words::not_a_day(text))
}

fn print(list: &ReportList) -> String {
    let mut text = list.reports.iter().map(print_one).collect::<Vec<_>>().join("\n");
    if list.queued {
        text.push_str("\nIl rapporto è stato consegnato alla posta in uscita.\n");
    }
    text
}

/// `22/11/2026`.
fn date(day: Date) -> String {
    day.strftime("%d/%m/%Y").to_string()
}

fn print_one(report: &DailyReport) -> String {
    let mut text = format!(
        "{} ({}), {}\nRapporto del {}\n\n",
        report.denomination,
        report.sender,
        report.environment.to_lowercase(),
        date(report.day)
    );
    text.push_str(&pairs(&[
        ("Lotti ricevuti", report.batches_total.to_string()),
        ("Atti inviati a SEND", report.sent.to_string()),
        ("Atti accettati da SEND", report.accepted.to_string()),
        ("Atti perfezionati", report.completed.to_string()),
        ("Atti rifiutati da SEND", report.refused.to_string()),
        ("Atti annullati o ritirati", report.cancelled.to_string()),
        ("Costi addebitati all'ente", format!("{} euro", euro(report.cost_cents))),
        ("Atti in attesa di partire", report.waiting.to_string()),
        ("Prossimo invio", report.next_send.map_or_else(String::new, when)),
        ("Ultimo invio previsto", report.last_send.map_or_else(String::new, date)),
    ]));
    let batches: Vec<Vec<String>> = report
        .batches
        .iter()
        .map(|batch| {
            let counts = [batch.acts, batch.accepted, batch.refused, batch.duplicates].map(|count| count.to_string());
            let head = [when(batch.received_at), batch.batch.to_string(), batch.source.clone(), known(batch.flow.as_deref())];
            head.into_iter().chain([batch_state(&batch.state)]).chain(counts).collect()
        })
        .collect();
    let heads = ["ricevuto", "lotto", "gestionale", "flusso", "esito", "atti", "accettati", "scartati", "già presenti"];
    text.push_str(&section("Lotti", &heads, &batches));
    let more = report.batches_total.saturating_sub(report.batches.len() as u64);
    if more > 0 {
        text.push_str(&format!("  e altri {more}: «messo batch list»\n"));
    }
    text.push_str(&counts("Atti per stato alla fine del giorno", "stato", &report.states, |state| words::state(state).to_owned()));
    text.push_str(&counts("Motivi dei rifiuti di SEND", "codice", &report.refusals, |code| {
        outcomes::refusal(code).unwrap_or_default().to_owned()
    }));
    text.push_str(&counts("Atti sospesi: serve una persona", "codice", &report.parked, |code| {
        parking::remedy(code).unwrap_or_default().to_owned()
    }));
    let stuck: Vec<Vec<String>> = report
        .oldest_stuck
        .iter()
        .map(|stuck| {
            let code = known(stuck.code.as_deref());
            vec![
                when(stuck.since),
                stuck.reference.clone(),
                known(stuck.protocol.as_deref()),
                stuck.source.clone(),
                stuck.state.clone(),
                code,
            ]
        })
        .collect();
    let title = format!("Fermi da più tempo (al più {SHOWN})");
    text.push_str(&section(&title, &["da", "riferimento", "protocollo", "gestionale", "stato", "perché"], &stuck));
    let troubles: Vec<Vec<String>> =
        report.troubles.iter().map(|trouble| vec![when(trouble.since), trouble.code.clone(), trouble.about.clone()]).collect();
    text.push_str(&section("Avvisi non ancora conclusi: «messo alerts»", &["da", "codice", "che cosa riguarda"], &troubles));
    text
}

fn batch_state(state: &str) -> String {
    match state.parse::<ReceiptState>() {
        Ok(ReceiptState::Taken) => "preso in carico".to_owned(),
        Ok(ReceiptState::Partial) => "parziale".to_owned(),
        Ok(ReceiptState::Rejected) => "scartato".to_owned(),
        Ok(ReceiptState::Duplicate) => "duplicato".to_owned(),
        Err(()) => "in lettura".to_owned(),
    }
}

fn counts(title: &str, head: &str, of: &BTreeMap<String, u64>, words: impl Fn(&str) -> String) -> String {
    let rows: Vec<Vec<String>> = of.iter().map(|(code, count)| vec![code.clone(), count.to_string(), words(code)]).collect();
    section(title, &[head, "atti", ""], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::daily::{DailyBatch, DailyStuck, DailyTrouble};
    use crate::domain::ids::BatchId;

    #[test]
    fn only_days_are_days() {
        for (text, want) in
            [("2026-11-22", true), ("2026-02-29", false), ("22/11/2026", false), ("2026-11-22T10:00", false), ("ieri", false)]
        {
            assert_eq!(day(text).is_ok(), want, "{text}");
        }
    }

    #[test]
    fn a_day_reads_well_in_a_terminal() {
        let at = |text: &str| text.parse().unwrap();
        let map = |pairs: &[(&str, u64)]| pairs.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect();
        let report = DailyReport {
            day: at_day("2026-11-22"),
            sender: "01234567897".to_owned(),
            denomination: "Comune di Prova".to_owned(),
            environment: "COLLAUDO".to_owned(),
            batches: vec![DailyBatch {
                batch: BatchId(uuid::Uuid::from_u128(0x01a20462_89c3_7509_8806_1fc09f85b361)),
                source: "tributi".to_owned(),
                flow: Some("tari".to_owned()),
                received_at: at("2026-11-22T05:30:00Z"),
                state: "PARZIALE".to_owned(),
                acts: 12,
                accepted: 10,
                refused: 2,
                duplicates: 0,
            }],
            batches_total: 21,
            states: map(&[("IN_CONSEGNA", 8), ("PERFEZIONATO", 120)]),
            sent: 10,
            accepted: 9,
            completed: 3,
            refused: 1,
            cancelled: 0,
            refusals: map(&[("NOT_VALID_ADDRESS", 1)]),
            cost_cents: 1_247,
            parked: map(&[("TENTATIVI_ESAURITI", 1)]),
            oldest_stuck: vec![DailyStuck {
                reference: "TARI-1".to_owned(),
                protocol: None,
                source: "tributi".to_owned(),
                state: "IN_INVIO".to_owned(),
                code: Some("TENTATIVI_ESAURITI".to_owned()),
                since: at("2026-11-20T10:00:00Z"),
            }],
            waiting: 4,
            last_send: Some(at_day("2026-11-24")),
            next_send: Some(at("2026-11-23T07:00:00Z")),
            troubles: vec![DailyTrouble {
                code: "DISCO_QUASI_PIENO".to_owned(),
                about: "dati".to_owned(),
                since: at("2026-11-21T23:00:00Z"),
            }],
        };
        let text = print(&ReportList { reports: vec![report], queued: true });
        let want = include_str!("report.txt");
        assert_eq!(text, want, "\n{text}");
    }

    fn at_day(text: &str) -> Date {
        text.parse().unwrap()
    }
}
