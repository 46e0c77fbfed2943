//! Letters of every kind, invented: what templates are checked with, and what the snapshots show.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Content, Group, Institution, Letter, Notice, Unreached};
use crate::domain::alert::{self, AlertKind};
use crate::domain::daily::{DailyBatch, DailyReport, DailyStuck, DailyTrouble};
use crate::domain::ids::{ActId, BatchId};

/// `2026-11-23T09:05:00Z`.
const NOW: i64 = 1_795_424_700;
const BATCH: BatchId = BatchId(Uuid::from_u128(0x019a_af10_7c00_7000_8000_0000_0000_0001));
const ACT: ActId = ActId(Uuid::from_u128(0x019a_af10_7c00_7000_8000_0000_0000_0002));

/// One of each: every code alone, a digest, a full and an empty report, the proof.
#[must_use]
pub fn letters() -> Vec<Letter> {
    let mut letters: Vec<Letter> = alert::CODES.iter().filter(|row| row.kind != AlertKind::Report).map(|row| one(row.code)).collect();
    letters.push(one("TENTATIVI_ESAURITI"));
    letters.push(bare("LOTTO_SCARTATO"));
    letters.push(digest());
    letters.push(report());
    letters.push(empty_report());
    letters.push(letter(AlertKind::Report, Content::Proof));
    letters
}

fn now() -> Timestamp {
    before(0)
}

/// So many minutes before.
fn before(minutes: i64) -> Timestamp {
    Timestamp::from_second(NOW - minutes * 60).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A letter of the sample ente.
#[must_use]
pub fn letter(kind: AlertKind, content: Content) -> Letter {
    let institution = Institution {
        tax_id: "02438750586".to_owned(),
        denomination: "Comune di Esempio & Frazioni".to_owned(),
        environment: "PRODUZIONE".to_owned(),
    };
    Letter { installation: "unione-dei-comuni-1".to_owned(), institution: Some(institution), kind, written_at: now(), content }
}

/// The letter of one alert, as full as that code may be.
#[must_use]
pub fn one(code: &str) -> Letter {
    let kind = alert::kind_of(code);
    let mut letter = letter(kind, Content::One(notice(code)));
    if kind == AlertKind::Disk {
        letter.institution = None;
    }
    letter
}

/// An alert of which nothing is known but its code.
#[must_use]
pub fn bare(code: &str) -> Letter {
    let notice = Notice { source: None, flow: None, batch: None, data: Value::Null, about: String::new(), ..notice(code) };
    Letter { institution: None, ..letter(alert::kind_of(code), Content::One(notice)) }
}

fn notice(code: &str) -> Notice {
    let mut notice = Notice {
        code: code.to_owned(),
        at: before(1),
        source: None,
        flow: None,
        batch: None,
        act: None,
        reference: None,
        protocol: None,
        about: String::new(),
        data: Value::Null,
    };
    let some = |text: &str| Some(text.to_owned());
    match alert::kind_of(code) {
        AlertKind::Batch => {
            (notice.source, notice.flow, notice.batch) = (some("polizia-locale"), some("cds"), Some(BATCH));
            notice.about = BATCH.to_string();
            notice.data = json!({"acts": 1_250, "accepted": 1_245, "refused": 5, "duplicates": 0, "rejects": "scarti/verbali_rossi.csv",
                "problems": [{"code": "IMPORTO_NON_VALIDO", "row": 12}, {"code": "CAMPO_MANCANTE", "row": 1_140}]});
        }
        AlertKind::Person | AlertKind::Term | AlertKind::Anomaly => {
            (notice.source, notice.flow, notice.batch, notice.act) = (some("polizia-locale"), some("cds"), Some(BATCH), Some(ACT));
            (notice.reference, notice.protocol) = (some("CDS-2026-000123"), some("2026/0045678"));
            notice.about = "IN_INVIO".to_owned();
        }
        AlertKind::Payment => notice.about = "pt-regione".to_owned(),
        AlertKind::Remote => notice.about = "02438750586".to_owned(),
        AlertKind::Key | AlertKind::Stream => notice.about = "02438750586/generale".to_owned(),
        AlertKind::Quota => {
            notice.about = "02438750586".to_owned();
            notice.data = json!({"day": "2026-11-23", "limit": 100_000});
        }
        AlertKind::Disk => notice.data = json!({"free_bytes": 412_000_000, "total_bytes": 53_687_091_200_u64}),
        AlertKind::Upload | AlertKind::Silent => notice.source = some("tributi"),
        AlertKind::Report => {}
    }
    notice
}

/// A storm: three codes, more alerts than are told.
#[must_use]
pub fn digest() -> Letter {
    let group = |code: &str, alerts: u64, minutes: i64| {
        let notices = (0..3)
            .map(|index| Notice {
                at: before(minutes - index),
                reference: Some(format!("CDS-2026-00012{index}")),
                protocol: Some(format!("2026/004567{index}")),
                ..notice(code)
            })
            .collect();
        Group { code: code.to_owned(), alerts, first_at: before(minutes), last_at: before(1), notices }
    };
    letter(
        AlertKind::Person,
        Content::Digest(vec![
            group("TENTATIVI_ESAURITI", 1_204, 14),
            group("NOTIFICA_NON_VISIBILE", 3, 9),
            group("NOME_GIA_PRESENTE", 3, 8),
        ]),
    )
}

fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// A day with something of everything.
#[must_use]
pub fn report() -> Letter {
    let batch = |minutes: i64, source: &str, flow: Option<&str>, state: &str, counts: [u64; 4]| DailyBatch {
        batch: BATCH,
        source: source.to_owned(),
        flow: flow.map(str::to_owned),
        received_at: before(minutes),
        state: state.to_owned(),
        acts: counts[0],
        accepted: counts[1],
        refused: counts[2],
        duplicates: counts[3],
    };
    let day = yesterday();
    let report = DailyReport {
        day,
        sender: "02438750586".to_owned(),
        denomination: "Comune di Esempio & Frazioni".to_owned(),
        environment: "PRODUZIONE".to_owned(),
        batches: vec![
            batch(1_900, "tributi", Some("tributi-pagamento"), "PRESA_IN_CARICO", [12_480, 12_480, 0, 0]),
            batch(1_500, "polizia-locale", Some("cds"), "PARZIALE", [1_250, 1_245, 5, 0]),
            batch(1_400, "polizia-locale", None, "SCARTATO", [0, 0, 0, 0]),
        ],
        batches_total: 24,
        states: counts(&[("IN_CONSEGNA", 12_345), ("PERFEZIONATO", 240_112), ("IN_INVIO", 1_204), ("RIFIUTATO", 17)]),
        sent: 13_725,
        accepted: 13_012,
        completed: 8_410,
        refused: 3,
        cancelled: 1,
        refusals: counts(&[("FILE_PDF_INVALID_ERROR", 2), ("NOT_VALID_ADDRESS", 1)]),
        cost_cents: 1_372_500,
        parked: counts(&[("TENTATIVI_ESAURITI", 4), ("NOTIFICA_NON_VISIBILE", 1)]),
        oldest_stuck: vec![DailyStuck {
            reference: "CDS-2026-000123".to_owned(),
            protocol: Some("2026/0045678".to_owned()),
            source: "polizia-locale".to_owned(),
            state: "IN_INVIO".to_owned(),
            code: Some("TENTATIVI_ESAURITI".to_owned()),
            since: before(12_000),
        }],
        waiting: 42_000,
        last_send: day.checked_add(jiff::Span::new().days(3)).ok(),
        next_send: Some(before(-900)),
        troubles: vec![DailyTrouble { code: "GESTIONALE_SILENZIOSO".to_owned(), about: "anagrafe".to_owned(), since: before(3_000) }],
    };
    let unreached =
        Unreached { recipient: "mario.rossi@comune.esempio.it".to_owned(), error: "DESTINATARIO 550".to_owned(), at: before(600) };
    letter(AlertKind::Report, Content::Report(Box::new(report), vec![unreached]))
}

fn yesterday() -> Date {
    Date::constant(2026, 11, 22)
}

/// A day on which nothing happened.
#[must_use]
pub fn empty_report() -> Letter {
    let report = DailyReport {
        day: yesterday(),
        sender: "02438750586".to_owned(),
        denomination: "Comune di Esempio & Frazioni".to_owned(),
        environment: "PRODUZIONE".to_owned(),
        batches: Vec::new(),
        batches_total: 0,
        states: BTreeMap::new(),
        sent: 0,
        accepted: 0,
        completed: 0,
        refused: 0,
        cancelled: 0,
        refusals: BTreeMap::new(),
        cost_cents: 0,
        parked: BTreeMap::new(),
        oldest_stuck: Vec::new(),
        waiting: 0,
        last_send: None,
        next_send: None,
        troubles: Vec::new(),
    };
    letter(AlertKind::Report, Content::Report(Box::new(report), Vec::new()))
}
