//! What a template sees, in Italian words: operators write templates. Every name is always there, `none` when it has no value, so
//! that a name that is not there is a slip of the template.

use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;

use super::{Content, Group, Letter, Notice, Unreached};
use crate::batch::problem::Code;
use crate::domain::daily::{DailyReport, SHOWN};
use crate::telemetry::mask_name;
use crate::text::it::mail::{self as words, Tone};
use crate::text::it::{operate, parking, problems};

/// Names that every template may use.
pub const NAMES: &[&str] =
    &["titolo", "tono", "etichetta", "ente", "ambiente", "installazione", "genere", "ora", "avviso", "gruppi", "totale", "rapporto"];

/// Characters of a value that came from elsewhere.
const LONGEST: usize = 200;
/// Examples of each code in a digest.
const EXAMPLES: usize = 5;
/// Problems of a batch that are told.
const PROBLEMS: usize = 10;

#[derive(Debug, Serialize)]
pub struct View {
    pub titolo: String,
    /// `problema`, `attenzione`, `risolto`, `nota`.
    pub tono: &'static str,
    pub etichetta: &'static str,
    pub ente: Option<EnteView>,
    pub ambiente: Option<String>,
    pub installazione: String,
    pub genere: &'static str,
    pub ora: String,
    pub avviso: Option<NoticeView>,
    pub gruppi: Vec<GroupView>,
    pub totale: String,
    pub rapporto: Option<ReportView>,
}

#[derive(Debug, Serialize)]
pub struct EnteView {
    pub nome: String,
    pub codice_fiscale: String,
}

#[derive(Debug, Serialize)]
pub struct NoticeView {
    pub codice: String,
    /// `unico`, `inizio`, `fine`.
    pub fase: &'static str,
    pub frase: String,
    pub rimedio: String,
    pub ora: String,
    pub righe: Vec<RowView>,
    pub lotto: Option<BatchView>,
}

#[derive(Debug, Serialize)]
pub struct RowView {
    pub nome: &'static str,
    pub valore: String,
}

#[derive(Debug, Serialize)]
pub struct BatchView {
    pub atti: Option<String>,
    pub accolti: Option<String>,
    pub scartati: Option<String>,
    pub doppi: Option<String>,
    pub problemi: Vec<ProblemView>,
    /// Masked.
    pub file_scarti: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct ProblemView {
    pub codice: String,
    pub riga: Option<String>,
    pub frase: String,
}

#[derive(Debug, Serialize)]
pub struct GroupView {
    pub codice: String,
    pub titolo: String,
    pub tono: &'static str,
    pub quanti: String,
    pub frase: String,
    pub rimedio: String,
    /// `23/11/2026, dalle 09:51 alle 10:04`.
    pub periodo: String,
    pub esempi: Vec<String>,
    /// How many are not among the examples; `none`: all are.
    pub altri: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct ReportView {
    pub giorno: String,
    pub lotti: Vec<DailyBatchView>,
    pub lotti_totale: String,
    pub lotti_altri: Option<String>,
    pub stati: Vec<CountView>,
    pub inviati: String,
    pub accettati: String,
    pub perfezionati: String,
    pub rifiutati: String,
    pub annullati: String,
    pub rifiuti: Vec<CountView>,
    pub costo: String,
    pub sospesi: Vec<CountView>,
    pub fermi: Vec<StuckView>,
    pub in_attesa: String,
    pub qualcosa_in_attesa: bool,
    pub prossimo_invio: Option<String>,
    pub ultimo_invio: Option<String>,
    pub guasti: Vec<TroubleView>,
    pub posta: Vec<UnreachedView>,
}

#[derive(Debug, Serialize)]
pub struct DailyBatchView {
    pub lotto: String,
    pub ora: String,
    pub gestionale: String,
    pub flusso: Option<String>,
    pub stato: String,
    pub tono: &'static str,
    pub atti: String,
    pub accolti: String,
    pub scartati: String,
    pub doppi: String,
}

#[derive(Debug, Serialize)]
pub struct CountView {
    pub codice: String,
    pub quanti: String,
    pub frase: String,
    pub rimedio: String,
}

#[derive(Debug, Serialize)]
pub struct StuckView {
    pub riferimento: String,
    pub protocollo: Option<String>,
    pub gestionale: String,
    pub stato: String,
    pub codice: Option<String>,
    pub frase: String,
    pub dal: String,
}

#[derive(Debug, Serialize)]
pub struct TroubleView {
    pub codice: String,
    pub titolo: String,
    pub riguarda: String,
    pub dal: String,
    pub rimedio: String,
}

#[derive(Debug, Serialize)]
pub struct UnreachedView {
    pub destinatario: String,
    pub motivo: String,
    pub ora: String,
}

impl View {
    /// Of a letter.
    #[must_use]
    pub fn of(letter: &Letter) -> View {
        let mut view = View {
            titolo: words::kind(letter.kind).to_owned(),
            tono: "",
            etichetta: "",
            ente: letter.institution.as_ref().map(|own| EnteView { nome: shown(&own.denomination), codice_fiscale: shown(&own.tax_id) }),
            ambiente: letter.institution.as_ref().map(|own| own.environment.clone()),
            installazione: shown(&letter.installation),
            genere: words::kind(letter.kind),
            ora: words::moment(letter.written_at),
            avviso: None,
            gruppi: Vec::new(),
            totale: "0".to_owned(),
            rapporto: None,
        };
        let tone = match &letter.content {
            Content::One(notice) => {
                view.titolo = words::title(&notice.code);
                view.totale = "1".to_owned();
                let mut told = notice_view(notice);
                // Said above.
                told.righe.retain(|row| letter.institution.as_ref().is_none_or(|own| own.tax_id != row.valore));
                view.avviso = Some(told);
                words::tone(&notice.code)
            }
            Content::Digest(groups) => {
                let total = groups.iter().map(|group| group.alerts).sum();
                view.titolo = words::digest_title(total, words::kind(letter.kind));
                view.totale = words::grouped(total);
                view.gruppi = groups.iter().map(group_view).collect();
                groups.iter().map(|group| words::tone(&group.code)).max().unwrap_or(Tone::Note)
            }
            Content::Report(report, unreached) => {
                view.titolo = format!("Rapporto di {}", words::day(report.day));
                view.totale = "1".to_owned();
                view.rapporto = Some(report_view(report, unreached));
                Tone::Note
            }
            Content::Proof => {
                view.titolo = words::PROOF_TITLE.to_owned();
                Tone::Note
            }
        };
        (view.tono, view.etichetta) = (tone.as_str(), tone.label());
        if matches!(letter.content, Content::Report(..)) {
            view.etichetta = "Rapporto";
        }
        view
    }
}

fn notice_view(notice: &Notice) -> NoticeView {
    NoticeView {
        codice: shown(&notice.code),
        fase: words::phase(&notice.code),
        frase: sentence(&notice.code),
        rimedio: remedy(&notice.code),
        ora: words::moment(notice.at),
        righe: rows(notice),
        lotto: batch_view(&notice.data),
    }
}

fn sentence(code: &str) -> String {
    parking::sentence(code).unwrap_or_default().to_owned()
}

/// Of what is over there is nothing to do.
fn remedy(code: &str) -> String {
    parking::remedy(code).filter(|_| words::phase(code) != "fine").unwrap_or_default().to_owned()
}

fn rows(notice: &Notice) -> Vec<RowView> {
    let mut rows = Vec::new();
    let mut add = |nome: &'static str, valore: Option<String>| {
        if let Some(valore) = valore.filter(|valore| !valore.is_empty()) {
            rows.push(RowView { nome, valore });
        }
    };
    add("Quando", Some(words::moment(notice.at)));
    add("Gestionale", notice.source.as_deref().map(shown));
    add("Flusso", notice.flow.as_deref().map(shown));
    add("Riferimento", notice.reference.as_deref().map(shown));
    add("Protocollo", notice.protocol.as_deref().map(shown));
    add("Lotto", notice.batch.map(|id| id.to_string()));
    add("Atto", notice.act.map(|id| id.to_string()));
    let (label, about) = about(notice);
    add(label, about);
    if let Value::Object(values) = &notice.data {
        for (name, value) in values {
            if let Some(label) = words::value_label(name) {
                add(label, value_words(&notice.code, name, value));
            }
        }
    }
    rows
}

/// What an alert is about, when its ids do not say it already.
fn about(notice: &Notice) -> (&'static str, Option<String>) {
    let text = shown(&notice.about);
    let ids = [notice.batch.map(|id| id.to_string()), notice.act.map(|id| id.to_string()), notice.source.clone()];
    if ids.into_iter().flatten().any(|id| id == text) {
        return ("Riguarda", None);
    }
    match operate::state(&text) {
        "" => ("Riguarda", Some(text)),
        words => ("Stato", Some(words.to_owned())),
    }
}

/// A single value: a number, an amount, a size, a day, a word.
fn value_words(code: &str, name: &str, value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => number.as_u64().map(|number| match name {
            "limit" if code.contains("SPESA") => words::euro(i64::try_from(number).unwrap_or(i64::MAX)),
            name if name.ends_with("_bytes") => words::bytes(number),
            _ => words::grouped(number),
        }),
        Value::String(text) => Some(text.parse::<Date>().map_or_else(|_| shown(text), words::day)),
        _ => None,
    }
}

/// The counts of a batch, if the data are those of one.
fn batch_view(data: &Value) -> Option<BatchView> {
    let count = |name: &str| data.get(name).and_then(Value::as_u64).map(words::grouped);
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(shown);
    let listed = data.get("problems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let problems = listed.iter().take(PROBLEMS).filter_map(|problem| {
        let codice = text(problem, "code")?;
        let frase = Code::parse(&codice).map(|code| problems::cause(code).to_owned()).unwrap_or_default();
        Some(ProblemView { riga: problem.get("row").and_then(Value::as_u64).map(words::grouped), frase, codice })
    });
    let view = BatchView {
        atti: count("acts"),
        accolti: count("accepted"),
        scartati: count("refused"),
        doppi: count("duplicates"),
        problemi: problems.collect(),
        file_scarti: data.get("rejects").and_then(Value::as_str).map(masked_path),
    };
    let any = view.atti.is_some() || view.scartati.is_some() || !view.problemi.is_empty() || view.file_scarti.is_some();
    any.then_some(view)
}

/// `scarti/l***.csv#12ab34`: the folder as it is, the name masked.
fn masked_path(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, name)) => format!("{}/{}", shown(folder), mask_name(name)),
        None => mask_name(path),
    }
}

fn group_view(group: &Group) -> GroupView {
    let examples: Vec<String> = group.notices.iter().take(EXAMPLES).map(example).collect();
    let left = group.alerts.saturating_sub(examples.len() as u64);
    GroupView {
        codice: shown(&group.code),
        titolo: words::title(&group.code),
        tono: words::tone(&group.code).as_str(),
        quanti: words::grouped(group.alerts),
        frase: sentence(&group.code),
        rimedio: remedy(&group.code),
        periodo: words::span(group.first_at, group.last_at),
        esempi: examples,
        altri: (left > 0).then(|| words::grouped(left)),
    }
}

/// One alert in a line of a digest.
fn example(notice: &Notice) -> String {
    let mut parts = vec![words::short_moment(notice.at)];
    parts.extend(notice.source.as_deref().map(shown));
    parts.extend(notice.flow.as_deref().map(shown));
    match (&notice.reference, notice.batch) {
        (Some(reference), _) => parts.push(format!("rif. {}", shown(reference))),
        (None, Some(batch)) => parts.push(format!("lotto {batch}")),
        (None, None) => {}
    }
    parts.extend(notice.protocol.as_deref().map(|protocol| format!("prot. {}", shown(protocol))));
    if let Some(batch) = batch_view(&notice.data) {
        parts.extend(batch.atti.map(|acts| format!("{acts} atti")));
        parts.extend(batch.scartati.map(|refused| format!("{refused} scartati")));
    }
    if notice.reference.is_none() {
        parts.extend(about(notice).1);
    }
    parts.join(" · ")
}

fn report_view(report: &DailyReport, unreached: &[Unreached]) -> ReportView {
    let counts = |of: &std::collections::BTreeMap<String, u64>, sentence: &dyn Fn(&str) -> String| {
        of.iter()
            .map(|(code, count)| CountView {
                codice: shown(code),
                quanti: words::grouped(*count),
                frase: sentence(code),
                rimedio: parking::remedy(code).unwrap_or_default().to_owned(),
            })
            .collect()
    };
    let batches: Vec<DailyBatchView> = report
        .batches
        .iter()
        .take(SHOWN)
        .map(|batch| DailyBatchView {
            lotto: batch.batch.to_string(),
            ora: words::hour(batch.received_at),
            gestionale: shown(&batch.source),
            flusso: batch.flow.as_deref().map(shown),
            stato: batch_state(&batch.state),
            tono: batch_tone(&batch.state).as_str(),
            atti: words::grouped(batch.acts),
            accolti: words::grouped(batch.accepted),
            scartati: words::grouped(batch.refused),
            doppi: words::grouped(batch.duplicates),
        })
        .collect();
    let left = report.batches_total.saturating_sub(batches.len() as u64);
    ReportView {
        giorno: words::day(report.day),
        lotti: batches,
        lotti_totale: words::grouped(report.batches_total),
        lotti_altri: (left > 0).then(|| words::grouped(left)),
        stati: counts(&report.states, &|state| operate::state(state).to_owned()),
        inviati: words::grouped(report.sent),
        accettati: words::grouped(report.accepted),
        perfezionati: words::grouped(report.completed),
        rifiutati: words::grouped(report.refused),
        annullati: words::grouped(report.cancelled),
        rifiuti: counts(&report.refusals, &|code| crate::text::it::outcomes::refusal(code).unwrap_or_default().to_owned()),
        costo: words::euro(report.cost_cents),
        sospesi: counts(&report.parked, &|code| sentence(code)),
        fermi: report
            .oldest_stuck
            .iter()
            .take(SHOWN)
            .map(|stuck| StuckView {
                riferimento: shown(&stuck.reference),
                protocollo: stuck.protocol.as_deref().map(shown),
                gestionale: shown(&stuck.source),
                stato: Some(operate::state(&stuck.state))
                    .filter(|words| !words.is_empty())
                    .map_or_else(|| shown(&stuck.state), str::to_owned),
                codice: stuck.code.as_deref().map(shown),
                frase: stuck.code.as_deref().and_then(parking::sentence).unwrap_or_default().to_owned(),
                dal: words::short_moment(stuck.since),
            })
            .collect(),
        in_attesa: words::grouped(report.waiting),
        qualcosa_in_attesa: report.waiting > 0,
        prossimo_invio: report.next_send.map(words::moment),
        ultimo_invio: report.last_send.map(words::day),
        guasti: report
            .troubles
            .iter()
            .map(|trouble| TroubleView {
                codice: shown(&trouble.code),
                titolo: words::title(&trouble.code),
                riguarda: shown(&trouble.about),
                dal: words::short_moment(trouble.since),
                rimedio: parking::remedy(&trouble.code).unwrap_or_default().to_owned(),
            })
            .collect(),
        posta: unreached
            .iter()
            .map(|one| UnreachedView {
                destinatario: masked_address(&one.recipient),
                motivo: words::undelivered(&one.error),
                ora: words::short_moment(one.at),
            })
            .collect(),
    }
}

fn batch_state(state: &str) -> String {
    match state {
        "PRESA_IN_CARICO" => "preso in carico".to_owned(),
        "PARZIALE" => "preso in carico in parte".to_owned(),
        "SCARTATO" => "scartato".to_owned(),
        "DUPLICATO" => "già ricevuto".to_owned(),
        other => shown(other).replace('_', " ").to_lowercase(),
    }
}

fn batch_tone(state: &str) -> Tone {
    match state {
        "PRESA_IN_CARICO" => Tone::Solved,
        "PARZIALE" => Tone::Attention,
        "SCARTATO" => Tone::Problem,
        _ => Tone::Note,
    }
}

/// `m***@comune.esempio.it`.
#[must_use]
pub fn masked_address(address: &str) -> String {
    let (name, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let initial: String = name.chars().take(1).collect();
    format!("{initial}***@{}", shown(domain))
}

/// One short line.
fn shown(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut out: String = plain.clone().take(LONGEST).collect();
    if plain.count() > LONGEST {
        out.push('…');
    }
    out
}
