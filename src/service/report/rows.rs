//! Rows of the store into entries of the reports: field by field, so that what a report tells is decided here.

use super::{
    ActEntry, AlertEntry, BatchEntry, FileEntry, GuardEntry, HistoryEntry, JobEntry, LegalFactEntry, ProblemEntry, RecipientEntry,
    StuckEntry,
};
use crate::domain::alert;
use crate::store::{
    ActView, AlertRow, BatchSummary, GuardRow, HistoryRow, JobRow, LegalFactRow, ProblemCount, Publication, RecipientRow, Stuck,
};

/// Names of receipts and rejects may follow that of the drop, which often holds a surname: masked where acts are told.
pub(in crate::service) fn masked(file: FileEntry) -> FileEntry {
    match file.kind.as_str() {
        "ATTESTAZIONE" | "ESITO" | "INDICE" => file,
        _ => FileEntry { name: crate::telemetry::mask_name(&file.name), ..file },
    }
}

impl From<BatchSummary> for BatchEntry {
    fn from(batch: BatchSummary) -> Self {
        BatchEntry {
            id: batch.id,
            source: batch.source,
            name: batch.original_name,
            dry_run: batch.dry_run,
            received_at: batch.received_at,
            finished_at: batch.finished_at,
            state: batch.state,
            layout: batch.layout,
            flow: batch.flow,
            sender: batch.sender,
            acts: batch.acts,
            accepted: batch.accepted,
            refused: batch.refused,
            duplicates: batch.duplicates,
            warnings: batch.warnings,
            size: batch.size,
            sha256: batch.sha256.map(|digest| digest.to_hex()),
            duplicate_of: batch.duplicate_of,
            hold: batch.hold,
            forecast: batch.forecast,
            erased_at: batch.erased_at,
        }
    }
}

impl From<ActView> for ActEntry {
    fn from(act: ActView) -> Self {
        ActEntry {
            id: act.id,
            sender: act.sender,
            source: act.source,
            reference: act.reference,
            submission: act.submission,
            batch: act.batch,
            flow: act.flow,
            key: act.key_id,
            protocol: act.protocol,
            request_id: act.request_id,
            iun: act.iun,
            state: act.state,
            hold: act.hold,
            parked: act.park_code,
            flag: act.flag_code,
            recipients: act.recipients,
            notify_by: act.notify_by,
            created_at: act.created_at,
            updated_at: act.updated_at,
            sent_at: act.sent_at,
            accepted_at: act.accepted_at,
            closed_at: act.closed_at,
            erased_at: act.erased_at,
        }
    }
}

impl From<HistoryRow> for HistoryEntry {
    /// Only the fields known here leave the store.
    fn from(row: HistoryRow) -> Self {
        let data: serde_json::Value = row.data.and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_default();
        let text = |name: &str| data.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        let several = data.get("codes").and_then(serde_json::Value::as_array).into_iter().flatten();
        let codes = several.filter_map(serde_json::Value::as_str).map(str::to_owned).chain(text("code")).collect();
        HistoryEntry {
            at: row.at,
            event: row.event,
            state: row.state,
            who: text("who"),
            why: text("why"),
            codes,
            element: text("elementId"),
        }
    }
}

impl From<JobRow> for JobEntry {
    fn from(job: JobRow) -> Self {
        JobEntry { kind: job.kind, state: job.state, due_at: job.due_at, attempts: job.attempts, error: job.error }
    }
}

impl From<AlertRow> for AlertEntry {
    fn from(alert: AlertRow) -> Self {
        AlertEntry {
            at: alert.at,
            kind: alert::kind_of(&alert.code),
            phase: alert::phase_of(&alert.code).as_str().to_owned(),
            code: alert.code,
            source: alert.source,
            sender: alert.sender,
            about: alert.about,
            flow: alert.flow,
            batch: alert.batch,
            data: alert.data,
        }
    }
}

impl From<Stuck> for StuckEntry {
    fn from(stuck: Stuck) -> Self {
        StuckEntry { act: stuck.act, batch: stuck.batch, state: stuck.state, why: stuck.why.to_owned() }
    }
}

impl From<Publication> for FileEntry {
    fn from(file: Publication) -> Self {
        FileEntry { kind: file.kind, folder: file.folder, name: file.name, published: file.published }
    }
}

impl From<GuardRow> for GuardEntry {
    fn from(guard: GuardRow) -> Self {
        GuardEntry { first: guard.first, open: guard.open, refused: guard.refused, max_refused_percent: guard.max_refused_percent }
    }
}

impl From<ProblemCount> for ProblemEntry {
    fn from(problem: ProblemCount) -> Self {
        ProblemEntry { code: problem.code, severity: problem.severity, count: problem.count }
    }
}

impl From<RecipientRow> for RecipientEntry {
    fn from(row: RecipientRow) -> Self {
        RecipientEntry {
            index: row.index,
            completed_at: row.completed_at,
            perfection: row.perfection,
            unreachable: row.unreachable,
            deceased: row.deceased,
            analog_cost: row.analog_cost,
            citizen_cost: row.citizen_cost,
        }
    }
}

impl From<LegalFactRow> for LegalFactEntry {
    fn from(row: LegalFactRow) -> Self {
        LegalFactEntry { category: row.category, recipient: row.recipient, state: row.state, name: row.name, happened_at: row.happened_at }
    }
}
