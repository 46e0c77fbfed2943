//! The rows of a drop, one after the other: judged here against what is live in the store, staged or kept to be given back.

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{CHUNK, IngestError};
use crate::batch::fields::{self as f, Field};
use crate::batch::layouts::RejectedFile;
use crate::batch::pipeline::{Judged, Opened, Stopped, Totals};
use crate::batch::problem::{Code, Problem, Severity};
use crate::batch::row::Place;
use crate::domain::act::Act;
use crate::flow::definition::FlowDefinition;
use crate::intake::Claimed;
use crate::service::files::{KeptReject, files_of};
use crate::service::{Hub, rome};
use crate::store::{Claim, Conflict, Staged, StoreError, Unstaged, Verdict};

/// What the rows say, on its way from the reader to the store.
pub(super) enum Piece {
    Rows(Vec<Judged>),
    End(Result<Totals, Stopped>),
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub acts: u64,
    pub accepted: u64,
    pub refused: u64,
    pub duplicates: u64,
    pub last_place: Place,
}

/// The rows of one drop, staged as they are read.
pub(super) struct Rows<'a> {
    pub hub: &'a Hub,
    pub claimed: &'a Claimed,
    pub flow: &'a FlowDefinition,
    pub opened: &'a Opened,
    pub told: mpsc::Receiver<Piece>,
    pub counts: Counts,
}

impl Rows<'_> {
    pub async fn stage(&mut self) -> Result<Result<Totals, Stopped>, IngestError> {
        while let Some(piece) = self.told.recv().await {
            match piece {
                Piece::Rows(rows) => self.chunk(rows).await?,
                Piece::End(end) => return Ok(end),
            }
        }
        Err(std::io::Error::other("the reader stopped").into())
    }

    async fn chunk(&mut self, rows: Vec<Judged>) -> Result<(), IngestError> {
        let batch = self.claimed.id;
        let (mut problems, mut rejects, mut good, mut revoked) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for judged in rows {
            match judged {
                Judged::Good { act, place, warnings } => {
                    problems.extend(warnings);
                    good.push((act, place));
                }
                Judged::Bad { place, files, problems: found, .. } => {
                    self.counts.acts += 1;
                    self.counts.refused += 1;
                    rejects.push((place.ordinal, encode(&KeptReject::of(&place, &found, self.entries(files)))?));
                    problems.extend(found);
                }
                Judged::Revoke { ordinal, problems: found } => revoked.push((ordinal, found)),
                Judged::Notice { problems: found } => problems.extend(found),
            }
        }
        if !good.is_empty() {
            self.good(good, &mut problems, &mut rejects).await?;
        }
        if !revoked.is_empty() {
            self.revoke(revoked, &mut problems, &mut rejects).await?;
        }
        failpoint!("staging.chunk");
        for page in problems.chunks(CHUNK) {
            self.hub.store.add_problems(batch, page.to_vec()).await?;
        }
        if !rejects.is_empty() {
            self.hub.store.add_rejects(batch, rejects).await?;
        }
        Ok(())
    }

    /// Takes rows back that were staged: a later one has shown what is wrong with them. Nothing of a batch goes before its end.
    async fn revoke(
        &mut self,
        revoked: Vec<(u64, Vec<Problem>)>,
        problems: &mut Vec<Problem>,
        rejects: &mut Vec<(u64, String)>,
    ) -> Result<(), IngestError> {
        let ordinals = revoked.iter().map(|(ordinal, _)| *ordinal).collect();
        let unstaged = self.hub.store.unstage(self.claimed.id, ordinals).await?;
        for ((ordinal, mut found), unstaged) in revoked.into_iter().zip(unstaged) {
            match unstaged {
                Some(Unstaged { place, reference, act }) => {
                    self.counts.accepted -= 1;
                    self.counts.refused += 1;
                    found.iter_mut().for_each(|problem| problem.act = Some(reference.clone()));
                    let files = act.as_ref().map(files_of).unwrap_or_default();
                    rejects.push((ordinal, encode(&KeptReject::of(&place, &found, files))?));
                }
                // The store had not taken it: it was here before, or is refused already. Nothing of it goes by this drop.
                None => found.iter_mut().for_each(|problem| problem.severity = Severity::Warning),
            }
            problems.extend(found);
        }
        Ok(())
    }

    /// Where the files that a row names lie in the archive.
    fn entries(&self, names: Vec<String>) -> Vec<RejectedFile> {
        let entry = |name: &str| self.opened.archive.find(name).map(|entry| entry.index);
        names.into_iter().map(|name| RejectedFile { entry: entry(&name), name }).collect()
    }

    async fn good(
        &mut self,
        good: Vec<(Box<Act>, Place)>,
        problems: &mut Vec<Problem>,
        rejects: &mut Vec<(u64, String)>,
    ) -> Result<(), IngestError> {
        let hub = self.hub;
        let received = self.claimed.received_at;
        let described: Vec<(String, Vec<RejectedFile>, Place)> =
            good.iter().map(|(act, place)| (act.reference.clone(), files_of(act), place.clone())).collect();
        let settings = hub.settings();
        let staged = good
            .into_iter()
            .map(|(act, place)| {
                let institution = settings.institution(&act.sender_tax_id);
                let key = institution.and_then(|institution| institution.key_for(act.group.as_deref()));
                let notify_by = notify_by(&act, self.flow, received);
                Staged { key_id: key.map(|key| key.id.clone()).unwrap_or_default(), act: *act, place, notify_by }
            })
            .collect();
        let verdicts = hub.store.stage(self.claimed.id, staged, hub.clock.now()).await?;
        for ((reference, files, place), verdict) in described.into_iter().zip(verdicts) {
            self.counts.acts += 1;
            self.counts.last_place = place.clone();
            let of_act = |name, code, severity| vec![(Field::act(name), code, None, severity)];
            let told = match verdict {
                Verdict::New => {
                    self.counts.accepted += 1;
                    continue;
                }
                Verdict::Duplicate => of_act(f::REFERENCE, Code::ActDuplicate, Severity::Warning),
                Verdict::Exists => of_act(f::REFERENCE, Code::ActExists, Severity::Error),
                Verdict::Unknown => of_act(f::REFERENCE, Code::ActUnknown, Severity::Error),
                Verdict::AlreadySent => of_act(f::ACTION, Code::ActAlreadySent, Severity::Error),
                Verdict::Closed => of_act(f::ACTION, Code::ActClosed, Severity::Error),
                Verdict::OtherFlow(flow) => {
                    vec![(Field::act(f::ACTION), Code::ConflictsWithFlow, Some((Some(flow), String::new())), Severity::Error)]
                }
                Verdict::Conflicts(conflicts) => conflicts.into_iter().map(conflict).collect(),
            };
            let duplicate = told.iter().all(|(_, _, _, severity)| *severity == Severity::Warning);
            let told: Vec<Problem> = told
                .into_iter()
                .map(|(field, code, found, severity)| {
                    let (found, expected) = found.unwrap_or_else(|| (Some(reference.clone()), String::new()));
                    Problem {
                        file: self.opened.batch_file.name.to_string(),
                        row: Some(place.row_of(field)),
                        column: Some(self.opened.layout.locate(field, &place)),
                        code: code.as_str().into(),
                        severity,
                        found,
                        expected: Some(expected).filter(|text| !text.is_empty()),
                        act: Some(reference.clone()),
                    }
                })
                .collect();
            if duplicate {
                self.counts.duplicates += 1;
            } else {
                self.counts.refused += 1;
                rejects.push((place.ordinal, encode(&KeptReject::of(&place, &told, files))?));
            }
            problems.extend(told);
        }
        Ok(())
    }
}

/// Where a row has what stands in another act, by which code it is refused, what is there and where else.
fn conflict(conflict: Conflict) -> (Field, Code, Option<(Option<String>, String)>, Severity) {
    let Conflict { claim, found, other, recipient, item } = conflict;
    let (field, code) = match claim {
        Claim::Protocol => (Field::act(f::PROTOCOL), Code::ProtocolLive),
        Claim::Document => (Field::nth(f::DOCUMENT, 0), Code::DocumentLive),
        Claim::Notice => (Field::of_nth(f::NOTICE, recipient, item), Code::NoticeLive),
    };
    (field, code, Some((Some(found), other)), Severity::Error)
}

fn encode(reject: &KeptReject) -> Result<String, IngestError> {
    Ok(serde_json::to_string(reject).map_err(StoreError::from)?)
}

/// Last instant at which the act may be notified: the row's term, or the flow's counted from the drop. End of that Rome day.
fn notify_by(act: &Act, flow: &FlowDefinition, received: Timestamp) -> Option<Timestamp> {
    let local = rome(received);
    let day = match (act.notify_by, flow.notify_within_days) {
        (Some(day), _) => day,
        (None, Some(days)) => local.date().checked_add(jiff::Span::new().days(i64::from(days))).ok()?,
        (None, None) => return None,
    };
    Some(day.tomorrow().ok()?.to_zoned(local.time_zone().clone()).ok()?.timestamp())
}
