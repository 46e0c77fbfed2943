//! The store through its public functions, on a folder of its own each time. [`World`] plays everything around it: it drops
//! batches, does the work of every job as a well-behaved worker would, and tells events as SEND does.

mod books;
mod daily;
mod disk;
mod door;
mod drops;
mod erasing;
mod exports;
mod fabric;
mod guard;
mod jumps;
mod leases;
mod mail;
mod orders;
mod positions;
mod restore;
mod road;
mod scale;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::batch::row::Place;
use crate::clock;
use crate::domain::act::{Act, Action, FileRef, Payment, Recipient, RecipientType, StoredFile};
use crate::domain::digest::Sha256;
use crate::domain::ids::{ActId, BatchId};
use crate::domain::outcome::{OutcomeLine, OutcomeState, ReceiptState};
use crate::domain::send::{LegalFactId, StreamEvent, TimelineElement, Uploaded};
use crate::flow::definition::{self, FlowDefinition};
use crate::flow::effect::Effect;
use crate::flow::event::Fact;

const ENTE: &str = "01234567890";
const CHANNEL: &str = "01234567890/principale";
const SOURCE: &str = "sicurvia";

/// A store with what surrounds it.
struct World {
    store: Store,
    dir: TempDir,
    now: Cell<Timestamp>,
    /// POSTs that SEND took, by token: each act exactly once.
    posts: RefCell<BTreeMap<String, usize>>,
    fetched: RefCell<BTreeSet<String>>,
    next_event: Cell<u64>,
    /// SEND's answer to the POST of acts with these references is lost.
    lost: RefCell<BTreeSet<String>>,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        World {
            store: Store::open(dir.path()).unwrap(),
            dir,
            now: Cell::new("2026-11-22T08:00:00Z".parse().unwrap()),
            posts: RefCell::default(),
            fetched: RefCell::default(),
            next_event: Cell::new(1),
            lost: RefCell::default(),
        }
    }

    fn now(&self) -> Timestamp {
        self.now.get()
    }

    fn pass(&self, time: SignedDuration) {
        self.now.set(self.now() + time);
    }

    /// Claims and stages rows; answers the batch and what was said of each.
    async fn stage(&self, acts: Vec<Act>, flow: FlowDefinition) -> (BatchId, Vec<Verdict>) {
        let id = self.claim(false).await;
        self.begin(id, flow).await;
        let verdicts = self.store.stage(id, rows(acts), self.now()).await.unwrap();
        (id, verdicts)
    }

    async fn claim(&self, dry_run: bool) -> BatchId {
        let id = BatchId(clock::new_uuid());
        let drop = NewDrop {
            id,
            source: SOURCE.to_owned(),
            original_name: "lotto.zip".to_owned(),
            flow_hint: None,
            dry_run,
            received_at: self.now(),
        };
        self.store.claim(drop).await.unwrap();
        id
    }

    async fn begin(&self, batch: BatchId, flow: FlowDefinition) {
        self.store.begin_staging(staging(batch, flow)).await.unwrap();
    }

    async fn finish(&self, batch: BatchId, held: bool) {
        let end = Finished {
            state: ReceiptState::Taken,
            acts: 1,
            accepted: 1,
            refused: 0,
            duplicates: 0,
            duplicate_of: None,
            held,
            forecast: None,
            forecasts: Vec::new(),
        };
        self.store.finish_batch(batch, end, self.now()).await.unwrap();
    }

    /// An accepted batch, nothing of it started.
    async fn accept(&self, acts: Vec<Act>, flow: FlowDefinition) -> BatchId {
        let wanted = acts.len();
        let (batch, verdicts) = self.stage(acts, flow).await;
        assert_eq!(verdicts, vec![Verdict::New; wanted]);
        self.finish(batch, false).await;
        batch
    }

    /// Leases everything that is due and does it, again and again until nothing is.
    async fn settle(&self) {
        self.settle_but(|_| false).await;
    }

    /// The same, leaving the effects that `skip` names leased.
    async fn settle_but(&self, skip: impl Fn(&Effect) -> bool) {
        for _ in 0..10_000 {
            let leased = self.lease(64).await;
            if leased.is_empty() {
                return;
            }
            for job in leased {
                if !matches!(&job.subject, Subject::Notifica { effect, .. } if skip(effect)) {
                    self.work(job).await;
                }
            }
        }
        panic!("the work never ends");
    }

    async fn lease(&self, count: usize) -> Vec<Leased> {
        let wanted = [("", 0), ("", 3), ("", 1), (CHANNEL, 0), (CHANNEL, 1), (CHANNEL, 2)];
        let wanted = wanted.iter().map(|(channel, lane)| ((*channel).to_owned(), *lane, count)).collect();
        self.store.lease("prova", wanted, self.now() + SignedDuration::from_mins(30), self.now()).await.unwrap()
    }

    /// Reserves the base fee of one act.
    async fn spend(&self, act: ActId, job: Option<JobRef>, day: &str, ceiling: u64) -> Result<Spend, StoreError> {
        self.store.reserve_spends(vec![(act, job)], day, ceiling, self.now()).await?.remove(0)
    }

    /// Leases one job of that name for the act.
    async fn lease_one(&self, act: ActId, name: &str) -> Leased {
        let mut found = None;
        for leased in self.lease(1_000).await {
            match &leased.subject {
                Subject::Notifica { act: of, effect } if *of == act && effect.name() == name => found = Some(leased),
                _ => self.store.postpone_job(leased.job, self.now(), "").await.unwrap(),
            }
        }
        found.unwrap_or_else(|| panic!("no job {name}"))
    }

    /// Does one job as a worker would. What became stale under its hands it leaves.
    async fn work(&self, leased: Leased) {
        let (store, now, job) = (&self.store, self.now(), leased.job);
        match leased.subject {
            Subject::Lotto { batch, work: BatchWork::Start } => while store.start_acts(batch, job, now).await.unwrap() {},
            Subject::Lotto { batch, work: BatchWork::OpenGuard } => while store.open_guard(batch, job, now).await.unwrap() {},
            Subject::Lotto { .. } | Subject::Posizione { .. } => store.finish_job(job).await.unwrap(),
            Subject::Notifica { act, effect } => match self.effect(act, effect, job).await {
                Ok(()) | Err(StoreError::Stale) => {}
                Err(error) => panic!("{error}"),
            },
        }
    }

    async fn effect(&self, act: ActId, effect: Effect, job: JobRef) -> Result<(), StoreError> {
        let (store, now) = (&self.store, self.now());
        if !effect.is_wanted(&self.material(act).await.state) {
            return store.finish_job(job).await;
        }
        match effect {
            Effect::Prepare => store.record(act, Fact::Prepared, Some(job), now).await,
            Effect::Upload => {
                let files = self.material(act).await.content.files().cloned().collect::<Vec<_>>();
                let uploads = files.iter().zip(0..).map(|(file, number)| (act, number, uploaded(file, now))).collect();
                store.save_uploads(uploads).await?;
                store.record(act, Fact::Uploaded, Some(job), now).await
            }
            Effect::Send => {
                assert_eq!(self.spend(act, None, "2026-11-22", 0).await?, Spend::Reserved);
                let material = self.material(act).await;
                assert_eq!(material.uploads.len(), material.content.files().count(), "{} lacks files", material.content.reference);
                *self.posts.borrow_mut().entry(material.token.clone()).or_default() += 1;
                if self.lost.borrow().contains(&material.content.reference) {
                    return Ok(());
                }
                store.record(act, Fact::Taken { request_id: request_id(&material.token) }, Some(job), now).await
            }
            Effect::AskRequest => store.postpone_job(job, now + SignedDuration::from_hours(26), "IN_VALIDAZIONE").await,
            Effect::Resync | Effect::Cancel | Effect::WriteReject | Effect::Recover => store.finish_job(job).await,
            Effect::FetchLegalFacts => {
                let mut kept = Vec::new();
                for fact in store.facts_to_fetch(vec![act]).await?.remove(0) {
                    assert!(self.fetched.borrow_mut().insert(fact.key.clone()), "{} fetched twice", fact.key);
                    let name = format!("2026/{}/{}.pdf", fact.iun, fact.ordinal);
                    kept.push(KeptFact { sha256: Sha256::of(fact.key.as_bytes()), key: fact.key, name, size: 10, file: None });
                }
                assert_eq!(store.legal_facts_stored(act, kept, job, now).await?, 0);
                Ok(())
            }
            Effect::AskPrice { recipient } => {
                store.record(act, Fact::PriceKnown { recipient, total: 847, paper: None }, Some(job), now).await
            }
            Effect::Resubmit => store.resubmit(act, job, now).await,
            Effect::StartReplacement => store.start_replacement(act, job, now).await,
            Effect::CancelLater { who, why } => match store.cancel_later(act, job, &who, &why, now).await? {
                Cancelling::Ended | Cancelling::Waits => Ok(()),
                Cancelling::Never => panic!("nothing is POSTed without a protocol"),
                Cancelling::Ask { token, .. } => {
                    // SEND knows what was POSTed.
                    let posted = self.posts.borrow().contains_key(&token);
                    let fact = if posted { Fact::Taken { request_id: request_id(&token) } } else { Fact::NeverArrived };
                    store.record(act, fact, None, now).await?;
                    store.postpone_job(job, now, "ESITO_INCERTO").await
                }
            },
        }
    }

    async fn material(&self, act: ActId) -> SendMaterial {
        self.store.material(vec![act]).await.unwrap().ready.remove(0)
    }

    /// The only act with that reference, also while its batch is not started.
    async fn act_id(&self, reference: &str) -> ActId {
        let db = rusqlite::Connection::open(self.dir.path().join("messo.db")).unwrap();
        let id: Vec<u8> = db.query_row("SELECT id FROM act WHERE reference = ?1", [reference], |row| row.get(0)).unwrap();
        ActId(uuid::Uuid::from_slice(&id).unwrap())
    }

    /// The newest submission with that reference.
    async fn act(&self, reference: &str) -> ActView {
        self.store.find_acts(reference).await.unwrap().into_iter().max_by_key(|act| act.submission).unwrap()
    }

    async fn state(&self, reference: &str) -> String {
        self.act(reference).await.state
    }

    async fn states(&self, batch: BatchId) -> Vec<(String, u64)> {
        self.store.states_of_batch(batch).await.unwrap()
    }

    /// Listens as the stream of the channel does.
    async fn listen(&self) {
        let stream = StreamRow { stream_id: "flusso".to_owned(), title: "messo".to_owned(), last_event_id: None };
        self.store.save_stream(CHANNEL, stream, self.now()).await.unwrap();
    }

    /// An event about the newest submission of `reference`, as SEND would tell it.
    async fn event(&self, reference: &str, category: &str, details: serde_json::Value) -> StreamEvent {
        let token = self.material(self.act(reference).await.id).await.token;
        self.event_of(&token, category, details)
    }

    fn event_of(&self, token: &str, category: &str, details: serde_json::Value) -> StreamEvent {
        let number = self.next_event.get();
        self.next_event.set(number + 1);
        let before_acceptance = ["REQUEST_REFUSED", "SENDER_ACK_CREATION_REQUEST"].contains(&category);
        StreamEvent {
            event_id: format!("{number:038}"),
            request_id: Some(request_id(token)),
            iun: (!before_acceptance).then(|| iun(token)),
            new_status: None,
            element: TimelineElement {
                element_id: format!("{category}.{number}"),
                timestamp: None,
                event_timestamp: Some(self.now()),
                ingestion_timestamp: None,
                legal_facts_ids: vec![],
                category: category.to_owned(),
                details,
            },
        }
    }

    async fn tell(&self, events: Vec<StreamEvent>) -> Recorded {
        self.store.record_events(CHANNEL, "flusso", events, self.now()).await.unwrap()
    }

    /// One event, told.
    async fn hear(&self, reference: &str, category: &str, details: serde_json::Value) {
        let event = self.event(reference, category, details).await;
        assert_eq!(self.tell(vec![event]).await.new, 1, "{category} about {reference}");
    }

    /// Takes acts through acceptance.
    async fn accepted(&self, references: &[&str]) {
        self.settle().await;
        for reference in references {
            self.hear(reference, "REQUEST_ACCEPTED", json!({})).await;
        }
        self.settle().await;
    }

    async fn lines(&self) -> Vec<OutcomeLine> {
        let rows = self.store.lines(SOURCE, 1, u64::MAX >> 1, 100_000).await.unwrap();
        rows.into_iter().map(|row| row.line).collect()
    }

    /// (state, event) of every line about a reference.
    async fn told(&self, reference: &str) -> Vec<(OutcomeState, String)> {
        let lines = self.lines().await;
        lines.into_iter().filter(|line| line.reference == reference).map(|line| (line.state, line.event)).collect()
    }

    /// What must hold at any time: nothing stuck, lines without gaps, no act POSTed twice.
    async fn is_sound(&self) {
        assert_eq!(self.store.stuck(self.now()).await.unwrap(), [], "stuck");
        let numbers: Vec<u64> = self.lines().await.iter().map(|line| line.line).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "lines have gaps");
        for (token, times) in self.posts.borrow().iter() {
            assert_eq!(*times, 1, "{token} was POSTed again");
        }
    }

    /// Rows of a table that no public function shows.
    fn count(&self, sql: &str) -> i64 {
        let db = rusqlite::Connection::open(self.dir.path().join("messo.db")).unwrap();
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn request_id(token: &str) -> String {
    format!("richiesta-{token}")
}

fn iun(token: &str) -> String {
    format!("IUN-{}", token.get(..12).unwrap_or(token))
}

fn uploaded(file: &FileRef, at: Timestamp) -> Uploaded {
    let sha256 = file.stored.unwrap().sha256;
    Uploaded { key: format!("chiave-{}", file.file), version_token: "v1".to_owned(), sha256, uploaded_at: at }
}

/// The flow of fines, with a guard of `first` acts (0: none).
fn flow(first: u32) -> FlowDefinition {
    let mut flow = definition::shipped().into_iter().find(|flow| flow.name == "cds").unwrap();
    flow.guard.first_acts = first;
    flow
}

fn staging(batch: BatchId, flow: FlowDefinition) -> Staging {
    Staging {
        batch,
        source: SOURCE.to_owned(),
        sha256: Sha256::of(batch.to_string().as_bytes()),
        size: 1_000,
        layout: Some("messo-csv".to_owned()),
        batch_file: "lotto.csv".to_owned(),
        batch_entry: 0,
        bare: false,
        sender: Some(ENTE.to_owned()),
        flow: Some(flow),
    }
}

fn rows(acts: Vec<Act>) -> Vec<Staged> {
    acts.into_iter()
        .zip(1u64..)
        .map(|(act, ordinal)| Staged {
            act,
            place: Place { row: ordinal + 1, ordinal, ..Place::default() },
            key_id: "principale".to_owned(),
            notify_by: None,
        })
        .collect()
}

/// An act with a protocol, a document, a recipient and a notice of its own.
fn act(reference: &str) -> Act {
    let seed = Sha256::of(reference.as_bytes());
    let number = u64::from_be_bytes(seed.as_bytes()[..8].try_into().unwrap()) % 10u64.pow(15);
    let stored = StoredFile { entry: 1, sha256: seed, size: 1_000 };
    Act {
        sender_tax_id: ENTE.to_owned(),
        reference: reference.to_owned(),
        action: Action::Insert,
        protocol: Some(format!("P-{reference}")),
        subject: Some("Verbale".to_owned()),
        abstract_text: None,
        taxonomy_code: None,
        communication_type: None,
        fee_policy: None,
        pa_fee: None,
        vat: None,
        pago_pa_int_mode: None,
        amount: None,
        payment_expiration_date: None,
        group: None,
        additional_language: None,
        sender_denomination: None,
        cancelled_iun: None,
        recipients: vec![recipient("RSSMRA80A01H501U", Some(format!("302{number:015}")))],
        documents: vec![FileRef { stored: Some(stored), ..FileRef::named(format!("{reference}.pdf")) }],
        amount_rule: None,
        stated_rule: None,
        position: None,
        notify_by: None,
        force: None,
        stopped_from: None,
        stopped_until: None,
        echo: vec![("pratica".to_owned(), reference.to_owned())],
    }
}

fn recipient(tax_id: &str, notice_code: Option<String>) -> Recipient {
    let payment = |notice_code| Payment::PagoPa {
        notice_code,
        creditor_tax_id: ENTE.to_owned(),
        apply_cost: true,
        attachment: None,
        position_id: None,
    };
    Recipient {
        recipient_type: RecipientType::Pf,
        tax_id: tax_id.to_owned(),
        denomination: "Mario Rossi".to_owned(),
        pec: None,
        address: None,
        payments: notice_code.map(payment).into_iter().collect(),
    }
}

/// What is said of a row that has something of the live act `of`.
fn live(claim: Claim, of: &str) -> Verdict {
    let found = match claim {
        Claim::Protocol => format!("P-{of}"),
        Claim::Document => format!("{of}.pdf"),
        Claim::Notice => act(of).notices().next().unwrap().2.to_owned(),
    };
    Verdict::Conflicts(vec![Conflict { claim, found, other: of.to_owned(), recipient: 0, item: 0 }])
}

/// The same act with another action.
fn order(action: Action, act: Act) -> Act {
    Act { action, ..act }
}

fn fact(key: &str, category: &str) -> LegalFactId {
    LegalFactId { key: key.to_owned(), category: category.to_owned() }
}

fn words(lines: &[(OutcomeState, String)]) -> Vec<&str> {
    lines.iter().map(|(state, _)| state.as_str()).collect()
}
