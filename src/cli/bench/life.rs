//! The whole life of acts in the store, with nobody outside: what a worker saves at each step, in the groups it saves it in,
//! with the answers of SEND made up. Costs what the store costs.

use std::collections::HashMap;

use base64::Engine as _;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::house::SOURCE;
use super::sample;
use crate::batch::row::Place;
use crate::clock::{self, new_uuid};
use crate::domain::act::{
    Act, Action, CommunicationType, FeePolicy, FileRef, PagoPaIntMode, Payment, PhysicalAddress, Recipient, RecipientType, StoredFile,
};
use crate::domain::digest::Sha256;
use crate::domain::ids::{ActId, BatchId};
use crate::domain::money::Cents;
use crate::domain::outcome::ReceiptState;
use crate::domain::send::{LegalFactId, StreamEvent, TimelineElement, Uploaded};
use crate::flow::definition::FlowDefinition;
use crate::flow::effect::Effect;
use crate::flow::event::Fact;
use crate::store::{BatchWork, Finished, JobRef, Leased, NewDrop, Publication, Staged, Staging, Store, StoreError, StreamRow, Subject};

/// Rows staged, and acts under way, at a time: the hub's.
const CHUNK: usize = 500;
const LANE: usize = 60;
const FOLLOW_UPS: usize = 24;
const OWN: usize = 512;
/// Events of a page.
const PAGE: usize = 50;

/// The elements of a digital story, as the simulator tells it: category, minutes after the acceptance, legal fact, of a recipient.
const STORY: [(&str, i64, Option<&str>, bool); 16] = [
    ("AAR_CREATION_REQUEST", 1, None, true),
    ("AAR_GENERATION", 2, None, true),
    ("GET_ADDRESS", 3, None, true),
    ("GET_ADDRESS", 4, None, true),
    ("SEND_DIGITAL_DOMICILE", 5, None, true),
    ("SEND_DIGITAL_PROGRESS", 7, Some("PEC_RECEIPT"), true),
    ("SEND_DIGITAL_FEEDBACK", 22, Some("PEC_RECEIPT"), true),
    ("DIGITAL_DELIVERY_CREATION_REQUEST", 23, None, true),
    ("DIGITAL_SUCCESS_WORKFLOW", 26, Some("DIGITAL_DELIVERY"), true),
    ("SCHEDULE_REFINEMENT", 27, None, true),
    ("NOTIFICATION_VIEWED_CREATION_REQUEST", 380, None, true),
    ("NOTIFICATION_VIEWED", 381, Some("RECIPIENT_ACCESS"), true),
    ("VALIDATE_NORMALIZE_ADDRESSES_REQUEST", -3, None, false),
    ("NORMALIZED_ADDRESS", -2, None, true),
    ("SENDER_ACK_CREATION_REQUEST", -1, Some("SENDER_ACK"), false),
    ("REQUEST_ACCEPTED", 0, None, false),
];

/// One store at work.
pub struct Life<'a> {
    pub store: &'a Store,
    pub flow: &'a FlowDefinition,
    /// Tax id of the ente.
    pub sender: String,
    /// IUN and request of each act sent, to tell its story.
    sent: Vec<(String, String)>,
    events: u64,
    /// Events told at a time: SEND's pages, or more where only what they leave behind counts.
    pub page: usize,
}

type Done<T> = Result<T, StoreError>;

impl<'a> Life<'a> {
    /// Makes the stream of the channel.
    pub async fn begin(store: &'a Store, flow: &'a FlowDefinition, sender: String) -> Done<Life<'a>> {
        let mut life = Life { store, flow, sender, sent: Vec::new(), events: 0, page: PAGE };
        let channel = life.channel();
        match store.stream(&channel).await? {
            Some(row) => life.events = row.last_event_id.and_then(|id| id.parse().ok()).unwrap_or(0),
            None => {
                let row = StreamRow { stream_id: "banco".to_owned(), title: "banco".to_owned(), last_event_id: None };
                store.save_stream(&channel, row, now()).await?;
            }
        }
        Ok(life)
    }

    fn channel(&self) -> String {
        format!("{}/generale", self.sender)
    }

    /// Takes a batch of `acts` from its first row to its last completion and its outcome file.
    pub async fn live(&mut self, first: u64, acts: u64) -> Done<()> {
        let batch = BatchId(new_uuid());
        self.take_in(batch, first, acts).await?;
        loop {
            let jobs = self.lease().await?;
            let idle = jobs.is_empty();
            self.run(jobs).await?;
            let told = self.tell().await?;
            if idle && !told {
                break;
            }
        }
        self.publish().await
    }

    async fn take_in(&self, batch: BatchId, first: u64, acts: u64) -> Done<()> {
        let name = "lotto.zip".to_owned();
        let drop =
            NewDrop { id: batch, source: SOURCE.to_owned(), original_name: name, flow_hint: None, dry_run: false, received_at: now() };
        self.store.claim(drop).await?;
        let staging = Staging {
            batch,
            source: SOURCE.to_owned(),
            sha256: Sha256::of(batch.0.as_bytes()),
            size: 1_000_000,
            layout: Some("messo-xml-1.0".to_owned()),
            batch_file: "lotto.xml".to_owned(),
            batch_entry: 0,
            bare: false,
            sender: Some(self.sender.clone()),
            flow: Some(self.flow.clone()),
        };
        self.store.begin_staging(staging).await?;
        let numbers: Vec<u64> = (first..first + acts).collect();
        for (chunk, start) in numbers.chunks(CHUNK).zip((0u64..).step_by(CHUNK)) {
            let rows = chunk.iter().zip(start + 1..).map(|(number, ordinal)| self.staged(*number, ordinal)).collect();
            self.store.stage(batch, rows, now()).await?;
        }
        let end = Finished {
            state: ReceiptState::Taken,
            acts,
            accepted: acts,
            refused: 0,
            duplicates: 0,
            duplicate_of: None,
            held: false,
            forecast: None,
            forecasts: Vec::new(),
        };
        self.store.finish_batch(batch, end, now()).await
    }

    fn staged(&self, number: u64, ordinal: u64) -> Staged {
        let notify_by = now().checked_add(SignedDuration::from_hours(24 * 90)).ok();
        let place = Place {
            row: ordinal * 30,
            recipient_rows: vec![ordinal * 30 + 7],
            start: ordinal * 1_400,
            end: ordinal * 1_400 + 1_390,
            ordinal,
        };
        Staged { act: act(&self.sender, number), place, key_id: "generale".to_owned(), notify_by }
    }

    async fn lease(&self) -> Done<Vec<Leased>> {
        let channel = self.channel();
        let wanted = vec![
            (String::new(), 0, 4),
            (String::new(), 3, 4),
            (String::new(), 1, OWN),
            (channel.clone(), 0, FOLLOW_UPS),
            (channel.clone(), 1, LANE),
            (channel, 2, FOLLOW_UPS),
        ];
        let until = now().saturating_add(SignedDuration::from_secs(1_800)).unwrap_or(Timestamp::MAX);
        self.store.lease("banco", wanted, until, now()).await
    }

    async fn run(&mut self, jobs: Vec<Leased>) -> Done<()> {
        let mut by_effect: HashMap<&'static str, Vec<(JobRef, ActId, Effect)>> = HashMap::new();
        for leased in jobs {
            match leased.subject {
                Subject::Lotto { batch, work: BatchWork::Start } => while self.store.start_acts(batch, leased.job, now()).await? {},
                Subject::Lotto { .. } | Subject::Posizione { .. } => self.store.finish_job(leased.job).await?,
                Subject::Notifica { act, effect } => by_effect.entry(effect.name()).or_default().push((leased.job, act, effect)),
            }
        }
        for (name, jobs) in by_effect {
            match name {
                "PREPARA" => {
                    self.store.material(jobs.iter().map(|(_, act, _)| *act).collect()).await?;
                    all(jobs.iter().map(|(job, act, _)| self.store.record(*act, Fact::Prepared, Some(*job), now()))).await?;
                }
                "CARICA" => {
                    let materials = self.store.material(jobs.iter().map(|(_, act, _)| *act).collect()).await?;
                    let uploads = materials.ready.iter().flat_map(|material| {
                        material.content.files().zip(0u32..).map(move |(file, number)| (material.id, number, uploaded(file)))
                    });
                    self.store.save_uploads(uploads.collect()).await?;
                    all(jobs.iter().map(|(job, act, _)| self.store.record(*act, Fact::Uploaded, Some(*job), now()))).await?;
                }
                "INVIA" => {
                    self.store.material(jobs.iter().map(|(_, act, _)| *act).collect()).await?;
                    let day = "2026-11-22";
                    self.store.reserve_spends(jobs.iter().map(|(job, act, _)| (*act, Some(*job))).collect(), day, 0, now()).await?;
                    let mut records = Vec::new();
                    for (job, act, _) in &jobs {
                        let iun = iun(*act);
                        let request_id = request_of(&iun);
                        self.sent.push((iun, request_id.clone()));
                        records.push(self.store.record(*act, Fact::Taken { request_id }, Some(*job), now()));
                    }
                    all(records.into_iter()).await?;
                }
                _ => all(jobs.into_iter().map(|(job, act, effect)| self.follow(job, act, effect))).await?,
            }
        }
        Ok(())
    }

    async fn follow(&self, job: JobRef, act: ActId, effect: Effect) -> Done<()> {
        match effect {
            Effect::AskPrice { recipient } => {
                self.store.notices(act, recipient).await?;
                self.store.record(act, Fact::PriceKnown { recipient, total: 200, paper: None }, Some(job), now()).await
            }
            Effect::FetchLegalFacts => {
                let (mut kept, mut files) = (Vec::new(), Vec::new());
                for fact in self.store.facts_to_fetch(vec![act]).await?.into_iter().flatten() {
                    let name = format!("2026/{}/{}_{}.pdf", fact.iun, fact.category, fact.ordinal);
                    let file = self.publication("ATTESTAZIONE", &format!("attestazioni/2026/{}", fact.iun), &name);
                    files.push(file.id);
                    let sha256 = Sha256::of(fact.key.as_bytes());
                    kept.push(crate::store::KeptFact { key: fact.key, name, sha256, size: 12_345, file: Some(file) });
                }
                self.store.legal_facts_stored(act, kept, job, now()).await?;
                self.store.published(files).await
            }
            _ => self.store.finish_job(job).await,
        }
    }

    fn publication(&self, kind: &str, folder: &str, name: &str) -> Publication {
        let id = new_uuid();
        Publication {
            id,
            source: SOURCE.to_owned(),
            kind: kind.to_owned(),
            number: None,
            folder: folder.to_owned(),
            name: name.to_owned(),
            temporary: format!(".messo-{}.part", id.simple()),
            sha256: Sha256::of(id.as_bytes()),
            size: 12_345,
            lines: None,
            subject: None,
            published: false,
            created_at: now(),
        }
    }

    /// What SEND tells of the acts sent since the last time, in pages.
    async fn tell(&mut self) -> Done<bool> {
        let sent = std::mem::take(&mut self.sent);
        if sent.is_empty() {
            return Ok(false);
        }
        let at = now();
        let mut events = Vec::with_capacity(sent.len() * STORY.len());
        // In the order of time: what happens to many acts comes mixed.
        let mut steps: Vec<_> = STORY.iter().enumerate().collect();
        steps.sort_by_key(|(_, step)| step.1);
        for (index, step) in steps {
            for (iun, request_id) in &sent {
                self.events += 1;
                events.push(event(self.events, iun, request_id, index, step, at));
            }
        }
        let channel = self.channel();
        let mut events = events.into_iter().peekable();
        while events.peek().is_some() {
            let page = events.by_ref().take(self.page).collect();
            self.store.record_events(&channel, "banco", page, now()).await?;
        }
        Ok(true)
    }

    /// Closes the pending lines into an outcome file that nobody writes.
    async fn publish(&self) -> Done<()> {
        let Some(pending) = self.store.pending_lines(SOURCE).await? else { return Ok(()) };
        let mut next = pending.first;
        while next <= pending.last {
            let page = self.store.lines(SOURCE, next, pending.last, 1_000).await?;
            let Some(last) = page.last() else { break };
            next = last.line.line + 1;
        }
        let mut file = self.publication("ESITO", "esiti", &format!("esito_{:06}.csv", pending.number));
        file.number = Some(pending.number);
        file.lines = Some((pending.first, pending.last));
        let id = file.id;
        self.store.prepare_outcome_files(SOURCE, pending.number, vec![file]).await?;
        self.store.published(vec![id]).await
    }
}

async fn all(work: impl Iterator<Item = impl Future<Output = Done<()>>>) -> Done<()> {
    join_all(work).await.into_iter().collect()
}

fn now() -> Timestamp {
    clock::Clock::REAL.now()
}

/// An IUN that follows from the act's id.
fn iun(act: ActId) -> String {
    let hex = act.0.simple().to_string();
    let letter = |at: usize| char::from(b'A' + hex.as_bytes().get(at).map_or(0, |byte| byte % 16));
    let group = |from: usize| (from..from + 4).map(letter).collect::<String>();
    format!("{}-{}-{}-202611-{}-1", group(20), group(24), group(28), letter(19)) + hex.get(8..).unwrap_or_default()
}

/// A `notificationRequestId`: the IUN in base64.
fn request_of(iun: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(iun)
}

fn uploaded(file: &FileRef) -> Uploaded {
    let sha256 = file.stored.map_or(Sha256::of(b""), |stored| stored.sha256);
    let key = format!("PN_NOTIFICATION_ATTACHMENTS-{}.pdf", new_uuid().simple());
    Uploaded { key, version_token: new_uuid().simple().to_string(), sha256, uploaded_at: now() }
}

fn event(number: u64, iun: &str, request_id: &str, index: usize, step: &(&str, i64, Option<&str>, bool), at: Timestamp) -> StreamEvent {
    let (category, minutes, fact, of_recipient) = step;
    let when = at.saturating_add(SignedDuration::from_mins(*minutes)).unwrap_or(at);
    let mut details = json!({"notificationRequestId": request_id, "paProtocolNumber": "PROT/2026/0000001", "idempotenceToken": "x"});
    if *of_recipient {
        details = json!({
            "recIndex": 0, "digitalAddress": {"type": "PEC", "address": "visione@pec.it"}, "digitalAddressSource": "SPECIAL",
            "retryNumber": 0, "notificationDate": when.to_string(), "sendingReceipts": [{}],
        });
    }
    let legal_facts_ids =
        fact.map(|category| LegalFactId { key: format!("safestorage://PN_LEGAL_FACTS-{iun}-{index}.pdf"), category: category.to_owned() });
    StreamEvent {
        event_id: format!("{number:038}"),
        request_id: Some(request_id.to_owned()),
        iun: (*minutes >= 0).then(|| iun.to_owned()),
        new_status: Some("DELIVERING".to_owned()),
        element: TimelineElement {
            element_id: format!("{category}.IUN_{iun}.RECINDEX_0.SOURCE_SPECIAL.ATTEMPT_{index}"),
            timestamp: Some(when),
            event_timestamp: Some(when),
            ingestion_timestamp: Some(when),
            legal_facts_ids: legal_facts_ids.into_iter().collect(),
            category: (*category).to_owned(),
            details,
        },
    }
}

fn act(sender: &str, number: u64) -> Act {
    let document = format!("pdf/verbale_{number:07}.pdf");
    let stored = StoredFile { entry: u32::try_from(number % 100_000).unwrap_or(0), sha256: Sha256::of(document.as_bytes()), size: 100_000 };
    Act {
        sender_tax_id: sender.to_owned(),
        reference: sample::reference(number),
        action: Action::Insert,
        protocol: Some(format!("PROT/2026/{number:07}")),
        subject: Some(format!("Verbale di accertamento n. {number:07}")),
        abstract_text: None,
        taxonomy_code: Some("010101P".to_owned()),
        communication_type: Some(CommunicationType::Act890),
        fee_policy: Some(FeePolicy::DeliveryMode),
        pa_fee: Some(100),
        vat: Some(22),
        pago_pa_int_mode: Some(PagoPaIntMode::Sync),
        amount: Some(Cents(4_200)),
        payment_expiration_date: None,
        group: None,
        additional_language: None,
        sender_denomination: None,
        cancelled_iun: None,
        recipients: vec![Recipient {
            recipient_type: RecipientType::Pf,
            tax_id: sample::person(number),
            denomination: "Mario Rossi".to_owned(),
            pec: Some("visione@pec.it".to_owned()),
            address: Some(PhysicalAddress {
                address: format!("VIA ROMA {}", number % 90 + 1),
                zip: Some("00184".to_owned()),
                municipality: "ROMA".to_owned(),
                province: Some("RM".to_owned()),
                ..PhysicalAddress::default()
            }),
            payments: vec![Payment::PagoPa {
                notice_code: sample::notice(number),
                creditor_tax_id: sender.to_owned(),
                apply_cost: true,
                attachment: None,
                position_id: None,
            }],
        }],
        documents: vec![FileRef { title: Some("Verbale".to_owned()), stored: Some(stored), ..FileRef::named(document) }],
        amount_rule: None,
        stated_rule: None,
        position: None,
        notify_by: None,
        force: None,
        stopped_from: None,
        stopped_until: None,
        echo: vec![("pratica".to_owned(), number.to_string())],
    }
}
