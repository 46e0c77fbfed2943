//! `messo status`: how the hub is. Exit codes: 0 told (also when no hub runs), 2 wrongly asked, 3 hub or store not reachable.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::hub::{self, Common};
use super::table::{known, pairs, section, when, when_known};
use crate::domain::daily::DailyTrouble;
use crate::service::control::Request;
use crate::service::report::{AlertEntry, StatusReport};
use crate::text::it::{self, operate as words, parking};

/// Dice come sta il servizio.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    hub::run(&args.common, Request::Status, print)
}

fn print(report: &StatusReport) -> String {
    let running = match report.since {
        Some(since) if report.running => format!("acceso dal {}", when(since)),
        _ => "spento: i dati sono letti dall'archivio".to_owned(),
    };
    let parked_batches: Vec<String> = report.parked_batches.iter().map(ToString::to_string).collect();
    let paused_batches: Vec<String> = report.paused_batches.iter().map(ToString::to_string).collect();
    let mut text = pairs(&[
        ("Servizio", running),
        ("Versione", report.version.clone()),
        ("Ora", when(report.at)),
        ("Lavoro pronto dal", when_known(report.oldest_due)),
        ("Prossimo lavoro", when_known(report.next_due)),
        ("Lotti con lavoro sospeso", parked_batches.join(" ")),
        ("Lotti fermati", paused_batches.join(" ")),
        ("Ripristino", report.restored.as_ref().map(super::restore::held).unwrap_or_default()),
    ]);
    let acts: Vec<Vec<String>> =
        report.acts.iter().map(|(state, count)| vec![state.clone(), count.to_string(), words::state(state).to_owned()]).collect();
    text.push_str(&section("Atti", &["stato", "atti", ""], &acts));
    let of = |words: Option<&str>| words.unwrap_or_default().to_owned();
    let parked: Vec<Vec<String>> = report
        .parked
        .iter()
        .map(|(code, count)| vec![code.clone(), count.to_string(), of(parking::sentence(code)), of(parking::remedy(code))])
        .collect();
    text.push_str(&section("Atti sospesi: serve una persona", &["codice", "atti", "perché", "che cosa fare"], &parked));
    let title = "Posizioni ferme: serve una persona («messo posizione show CREDITORE AVVISO»)";
    text.push_str(&section(title, super::posizione::HEADS, &super::posizione::rows(&report.parked_positions)));
    text.push_str(&section("Lotti", &["stato", "lotti"], &counts(&report.batches)));
    text.push_str(&section("Lavori", &["stato", "lavori"], &counts(&report.jobs)));
    let stopped: Vec<Vec<String>> =
        report.stopped_channels.iter().map(|stop| vec![stop.channel.clone(), stop.code.clone(), when(stop.since)]).collect();
    text.push_str(&section(
        "Chiavi ferme, e con esse il loro ente: «messo act retry --channel ENTE/CHIAVE»",
        &["chiave", "codice", "da"],
        &stopped,
    ));
    let stuck: Vec<Vec<String>> = report
        .stuck
        .iter()
        .map(|stuck| {
            let why = match words::stuck(&stuck.why) {
                "" => stuck.why.clone(),
                words => format!("{}: {words}", stuck.why),
            };
            vec![stuck.act.map_or_else(|| "-".to_owned(), |act| act.to_string()), stuck.batch.to_string(), stuck.state.clone(), why]
        })
        .collect();
    text.push_str(&section("Fermi per un difetto di messo: avvisare l'assistenza", &["atto", "lotto", "stato", "che cosa manca"], &stuck));
    let orders: Vec<Vec<String>> = report
        .channel_orders
        .iter()
        .map(|order| {
            let entry = &order.entry;
            vec![when(entry.at), order.channel.clone(), entry.event.clone(), known(entry.who.as_deref()), known(entry.why.as_deref())]
        })
        .collect();
    text.push_str(&section("Ordini sulle chiavi", &["quando", "chiave", "ordine", "chi", "motivo"], &orders));
    text.push_str(&mail(report));
    text.push_str(&troubles(&report.troubles));
    let alerts = rows_of(&report.alerts);
    text.push_str(&section("Avvisi degli ultimi sette giorni", ALERT_HEADS, &alerts));
    text
}

pub(super) const ALERT_HEADS: &[&str] = &["quando", "codice", "ente", "gestionale", "", "che cosa vuol dire"];

/// What operators were told, a row each.
pub(super) fn rows_of(alerts: &[AlertEntry]) -> Vec<Vec<String>> {
    let row = |alert: &AlertEntry| {
        vec![
            when(alert.at),
            alert.code.clone(),
            known(alert.sender.as_deref()),
            known(alert.source.as_deref()),
            alert.about.clone(),
            parking::sentence(&alert.code).unwrap_or_default().to_owned(),
        ]
    };
    alerts.iter().map(row).collect()
}

/// Mails that wait, why, and who is not reached.
fn mail(report: &StatusReport) -> String {
    let mail = &report.mail;
    let trouble = mail.trouble.as_ref();
    let rows = [
        ("Da spedire", if mail.waiting > 0 { mail.waiting.to_string() } else { String::new() }),
        ("La prima dal", if mail.waiting > 0 { when_known(mail.oldest_due) } else { String::new() }),
        (
            "Server che non la prende",
            trouble.map_or_else(String::new, |trouble| format!("dal {}: {}", when(trouble.since), it::mail::trouble(&trouble.error))),
        ),
        ("Ripetute nel dubbio", if mail.repeats > 0 { mail.repeats.to_string() } else { String::new() }),
    ];
    let shown: Vec<Vec<String>> =
        rows.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| vec![name.to_owned(), value]).collect();
    let mut text = section("Posta agli operatori", &[], &shown);
    let given_up: Vec<Vec<String>> = mail
        .given_up
        .iter()
        .map(|one| {
            let why = format!("{}: {}", one.error, it::mail::undelivered(&one.error));
            vec![when(one.at), one.recipient.clone(), one.kind.clone(), known(Some(&one.sender)), why]
        })
        .collect();
    text.push_str(&section("Destinatari non raggiunti dalla posta", &["quando", "destinatario", "genere", "ente", "perché"], &given_up));
    text
}

/// What is not over, with what to do.
pub(super) fn troubles(troubles: &[DailyTrouble]) -> String {
    let of = |words: Option<&str>| words.unwrap_or_default().to_owned();
    let row = |trouble: &DailyTrouble| {
        let code = &trouble.code;
        vec![code.clone(), trouble.about.clone(), when(trouble.since), of(parking::sentence(code)), of(parking::remedy(code))]
    };
    let rows: Vec<Vec<String>> = troubles.iter().map(row).collect();
    section("Avvisi non ancora conclusi", &["codice", "che cosa riguarda", "da", "perché", "che cosa fare"], &rows)
}

fn counts(of: &BTreeMap<String, u64>) -> Vec<Vec<String>> {
    of.iter().map(|(name, count)| vec![name.clone(), count.to_string()]).collect()
}
