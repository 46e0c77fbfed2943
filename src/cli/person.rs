//! `messo person erase`: deletes the data of a person who asks for it. The tax id is typed, or comes on standard input: on the
//! command line it would stay in the history of the shell and in the list of processes.
//! Exit codes: 0 done (or nothing found), 1 refused, 2 wrongly asked, 3 hub or store not reachable.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use super::hub::{self, Common, Reason};
use super::password;
use super::table::{known, section, when, when_known};
use crate::service::control::{Failure, Request};
use crate::service::operate::TaxId;
use crate::service::report::{PersonAct, PersonBatch, PersonPage, PersonReport, PersonVerdict};
use crate::text::it::privacy as words;

/// Cancella i dati di una persona che lo chiede.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Cerca gli atti di una persona e ne cancella i dati. Il codice fiscale si digita, o arriva su standard input: mai sulla riga di
    /// comando.
    Erase {
        /// Cerca soltanto: dice che cosa si cancellerebbe e che cosa no.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        common: Common,
    },
}

/// Acts or batches of one order: a request of the socket is bounded.
const TOGETHER: usize = 500;

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let Action::Erase { dry_run, reason, common } = args.action;
    let tax_id = match password::ask(if std::io::stdin().is_terminal() { words::TAX_ID } else { "" }) {
        Ok(text) => TaxId::typed(&text),
        Err(_) => TaxId::typed(""),
    };
    let report =
        search(&common, &tax_id).and_then(|found| if dry_run { Ok(found) } else { erase(&common, &tax_id, found, &reason.reason) });
    hub::tell(&common, report, print)
}

/// Looks everywhere, page by page; tells on standard error how far it is.
fn search(common: &Common, tax_id: &TaxId) -> Result<PersonReport, Failure> {
    let (mut acts, mut batches) = (BTreeMap::new(), BTreeMap::new());
    let (mut from, mut pages, mut unreadable) = (None, 0u64, 0u64);
    loop {
        let page: PersonPage = hub::asked(common, Request::PersonFind { tax_id: tax_id.clone(), from })?;
        acts.extend(page.acts.into_iter().map(|act| (act.act, act)));
        batches.extend(page.batches.into_iter().map(|batch| (batch.batch, batch)));
        unreadable += page.unreadable;
        pages += 1;
        if std::io::stderr().is_terminal() {
            let _ = write!(std::io::stderr(), "\rricerca: {pages} pagine, {} atti, {} lotti", acts.len(), batches.len());
        }
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    if std::io::stderr().is_terminal() {
        let _ = writeln!(std::io::stderr());
    }
    let (acts, batches): (Vec<PersonAct>, Vec<PersonBatch>) = (acts.into_values().collect(), batches.into_values().collect());
    Ok(PersonReport { acts, batches, unreadable, ..PersonReport::default() })
}

fn erase(common: &Common, tax_id: &TaxId, found: PersonReport, reason: &str) -> Result<PersonReport, Failure> {
    let mut done = PersonReport { unreadable: found.unreadable, ..PersonReport::default() };
    let (acts, batches): (Vec<_>, Vec<_>) =
        (found.acts.iter().map(|act| act.act).collect(), found.batches.iter().map(|batch| batch.batch).collect());
    let mut acts = acts.chunks(TOGETHER).map(<[_]>::to_vec);
    let mut batches = batches.chunks(TOGETHER).map(<[_]>::to_vec);
    // At least once: that somebody asked and nothing was there is in the books too. Acts first: a batch file goes after them.
    let mut first = true;
    loop {
        let (some, files) = match acts.next() {
            Some(some) => (some, Vec::new()),
            None => match batches.next() {
                Some(files) => (Vec::new(), files),
                None if first => (Vec::new(), Vec::new()),
                None => return Ok(done),
            },
        };
        first = false;
        let request = Request::PersonErase { tax_id: tax_id.clone(), acts: some, batches: files, reason: reason.to_owned() };
        let report: PersonReport = hub::asked(common, request)?;
        done.person = report.person;
        done.acts.extend(report.acts);
        done.batches.extend(report.batches);
        done.erased_acts += report.erased_acts;
        done.unnoted = report.unnoted;
    }
}

fn print(report: &PersonReport) -> String {
    let mut text = String::new();
    if report.acts.is_empty() && report.batches.is_empty() {
        text.push_str(words::NOTHING_OF_PERSON);
    }
    let word =
        |verdict: PersonVerdict| serde_json::to_value(verdict).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
    let told = |verdict: PersonVerdict| words::verdict(&word(verdict)).to_owned();
    let acts: Vec<Vec<String>> = report
        .acts
        .iter()
        .map(|act| {
            let verdict = if act.erased_at.is_some() { PersonVerdict::Erased } else { act.verdict };
            let until = act.until.map(|until| format!(", fino al {}", when(until))).unwrap_or_default();
            vec![
                act.reference.clone(),
                act.sender.clone(),
                act.state.clone(),
                when_known(act.closed_at),
                act.legal_facts.to_string(),
                format!("{}{until}", told(verdict)),
            ]
        })
        .collect();
    text.push_str(&section("Atti che nominano la persona", &["riferimento", "ente", "stato", "chiuso", "attestazioni", ""], &acts));
    let batches: Vec<Vec<String>> = report
        .batches
        .iter()
        .map(|batch| {
            vec![batch.batch.to_string(), batch.source.clone(), when(batch.received_at), batch.published.to_string(), told(batch.verdict)]
        })
        .collect();
    text.push_str(&section(
        "File di lotto conservati che la nominano",
        &["lotto", "gestionale", "ricevuto", "ricevute e scarti", ""],
        &batches,
    ));
    if report.unreadable > 0 {
        text.push_str(&words::unreadable_drops(report.unreadable));
    }
    if !report.acts.is_empty() || !report.batches.is_empty() {
        text.push('\n');
        text.push_str(words::WHAT_STAYS);
    }
    if report.unnoted > 0 {
        text.push_str(&words::unnoted(report.unnoted));
    }
    if !report.person.is_empty() {
        text.push_str(&format!(
            "\nNel registro la persona è {}; dati cancellati di {} atti.\n",
            known(Some(&report.person)),
            report.erased_acts
        ));
    }
    text
}
