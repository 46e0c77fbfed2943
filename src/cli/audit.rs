//! `messo audit`: the books of operators' orders and of the SFTP door. It shows names of files as senders wrote them, which may hold personal data.
//! Exit codes: 0 done, 2 wrongly asked, 3 hub or store not reachable.

use std::process::ExitCode;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::hub::{self, Common};
use super::table::{known, plain, section, when};
use crate::service::control::Request;
use crate::service::report::AuditReport;
use crate::text::it::sftp as words;

/// Registro degli ordini degli operatori, degli accessi e dei trasferimenti SFTP, dal più recente. Mostra i nomi dei file: possono
/// contenere dati personali.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Soltanto accessi e trasferimenti di questo gestionale.
    #[arg(long, value_name = "GESTIONALE")]
    account: Option<String>,
    /// Da questa data (AAAA-MM-GG oppure AAAA-MM-GGTHH:MM, ora italiana).
    #[arg(long, value_name = "DATA", value_parser = from)]
    from: Option<Timestamp>,
    /// Fino a questa data compresa.
    #[arg(long, value_name = "DATA", value_parser = to)]
    to: Option<Timestamp>,
    /// Soltanto gli ordini degli operatori.
    #[arg(long, conflicts_with_all = ["sftp", "account"])]
    orders: bool,
    /// Soltanto accessi e trasferimenti SFTP.
    #[arg(long)]
    sftp: bool,
    /// Soltanto gli ordini di chi contiene questo testo (utente o uid).
    #[arg(long, value_name = "CHI", conflicts_with_all = ["sftp", "account"])]
    who: Option<String>,
    /// Soltanto gli ordini di questo tipo (per esempio retry_act).
    #[arg(long, value_name = "ORDINE", conflicts_with_all = ["sftp", "account"])]
    command: Option<String>,
    /// Controlla che nessun ordine sia stato cambiato o tolto dal registro.
    #[arg(long)]
    verify: bool,
    /// Al massimo queste righe di ciascun registro.
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: usize,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let orders = match (args.orders, args.sftp) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let request = Request::Audit {
        account: args.account,
        from: args.from,
        to: args.to,
        limit: args.limit,
        who: args.who,
        command: args.command,
        orders,
        verify: args.verify,
    };
    hub::run(&args.common, request, print)
}

fn print(report: &AuditReport) -> String {
    let rows: Vec<Vec<String>> = report
        .events
        .iter()
        .map(|event| {
            let name = match (&event.name, &event.target) {
                (Some(name), Some(target)) => format!("{name} -> {target}"),
                (name, _) => known(name.as_deref()),
            };
            vec![
                when(event.at),
                known(event.account.as_deref()),
                event.address.clone(),
                event.act.clone(),
                event.outcome.clone(),
                event.bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
                known(event.sha256.as_deref().map(begin)),
                plain(&name),
                known(event.client.as_deref()),
            ]
        })
        .collect();
    let orders: Vec<Vec<String>> = report
        .orders
        .iter()
        .map(|order| {
            vec![
                when(order.at),
                plain(&order.who),
                order.command.clone(),
                known(order.outcome.as_deref()),
                plain(&about(&order.about)),
                plain(&known(order.why.as_deref())),
            ]
        })
        .collect();
    let mut text = String::new();
    if let Some(seals) = report.seals {
        text.push_str(&words::seals(seals.rows, seals.broken));
    }
    text.push_str(&section("Ordini degli operatori", &["quando", "chi", "ordine", "esito", "su che cosa", "motivo"], &orders));
    let heads = ["quando", "gestionale", "indirizzo", "atto", "esito", "byte", "sha256", "file", "client"];
    text.push_str(&section("Accessi e trasferimenti SFTP", &heads, &rows));
    let text = text.trim_start_matches('\n');
    if text.is_empty() { words::NO_LINES.to_owned() } else { text.to_owned() }
}

/// Enough of a digest to tell one file from another; `--json` has the whole.
fn begin(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// `name=value name=value`.
fn about(about: &serde_json::Value) -> String {
    let pairs = about.as_object().into_iter().flatten().map(|(name, value)| match value {
        serde_json::Value::String(text) => format!("{name}={text}"),
        serde_json::Value::Array(list) => format!("{name}: {}", list.len()),
        value => format!("{name}={value}"),
    });
    pairs.collect::<Vec<_>>().join(" ")
}

pub(super) fn from(text: &str) -> Result<Timestamp, String> {
    moment(text, false)
}

pub(super) fn to(text: &str) -> Result<Timestamp, String> {
    moment(text, true)
}

/// The begin of a day or minute of Rome, or (`after`) the begin of the next one.
fn moment(text: &str, after: bool) -> Result<Timestamp, String> {
    let zone = TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC);
    let (at, step) = match (text.parse::<Date>(), text.parse::<DateTime>()) {
        (_, Ok(at)) if text.contains(['T', ' ']) => (at, 1.minute()),
        (Ok(day), _) => (day.to_datetime(jiff::civil::Time::midnight()), 1.day()),
        _ => return Err(words::not_a_moment(text)),
    };
    let at = if after { at.checked_add(step).map_err(|_| words::not_a_moment(text))? } else { at };
    at.to_zoned(zone).map(|zoned| zoned.timestamp()).map_err(|_| words::not_a_moment(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::report::AuditEntry;

    #[test]
    fn an_upload_is_shown_with_the_beginning_of_its_digest() {
        let entry = |sha256: Option<&str>| AuditEntry {
            at: "2026-11-22T10:00:00Z".parse().unwrap(),
            act: "CARICAMENTO".into(),
            account: Some("polizia".into()),
            address: "192.0.2.7".into(),
            client: None,
            name: Some("/in/lotto.zip".into()),
            target: None,
            bytes: Some(1_234),
            sha256: sha256.map(str::to_owned),
            outcome: "OK".into(),
        };
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let report = AuditReport { events: vec![entry(Some(digest)), entry(None)], orders: Vec::new(), seals: None };
        let text = print(&report);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        let column = lines[1].iter().position(|head| *head == "sha256").unwrap() + 1;
        assert_eq!((lines[2][column], lines[3][column]), (&digest[..12], "-"), "{text}");
    }

    #[test]
    fn days_and_minutes_are_those_of_rome() {
        let table = [
            ("2026-11-22", false, Some("2026-11-21T23:00:00Z")),
            ("2026-11-22", true, Some("2026-11-22T23:00:00Z")),
            ("2026-07-01", false, Some("2026-06-30T22:00:00Z")),
            ("2026-11-22T10:30", false, Some("2026-11-22T09:30:00Z")),
            ("2026-11-22T10:30", true, Some("2026-11-22T09:31:00Z")),
            ("ieri", false, None),
            ("2026-13-01", false, None),
        ];
        for (text, after, want) in table {
            assert_eq!(moment(text, after).ok(), want.map(|want| want.parse().unwrap()), "{text} {after}");
        }
    }
}
