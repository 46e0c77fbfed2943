//! The rival of `messo bench send`: makes the calls that each act needs, as many at a time as the hub does, and keeps nothing.
//! No store, no retry, no check of what it reads: what an integration script would do on a good day.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{Client, RequestBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::measure::{cpu_seconds, peak_mib};
use super::sample;
use super::send::{LIMIT, PEC, Took};
use crate::clock::monotonic;
use crate::connectors::http::{self, HttpSettings};
use crate::domain::digest::Sha256;

/// Files of one `preload` call, calls at a time, uploads of one call at a time, follow-ups of one ente at a time: the hub's.
const PRELOAD: usize = 15;
const PRELOADS_AT_ONCE: usize = 4;
const UPLOADS_AT_ONCE: usize = 8;
const FOLLOW_UPS: usize = 24;

/// One ente and its acts.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ente {
    pub tax_id: String,
    pub first: u64,
    pub acts: u64,
}

/// All of them, in a process of its own.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    pub url: String,
    pub sandbox_pid: u32,
    pub enti: Vec<Ente>,
    pub pdf_bytes: usize,
}

/// An act before the clock starts: its bytes at hand, its digest known.
struct Ready {
    number: u64,
    pdf: Bytes,
    sha256: String,
}

/// Calls of one ente.
struct Caller {
    http: Client,
    url: String,
    tax_id: String,
    follow_ups: Semaphore,
    /// Acts without completion, of all enti.
    open: Arc<AtomicUsize>,
    /// Follow-ups under way.
    pending: Arc<AtomicUsize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Slot {
    preload_idx: String,
    secret: String,
    url: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_id: String,
    iun: Option<String>,
    #[serde(default)]
    notification_request_id: String,
    element: Element,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Element {
    category: String,
    #[serde(default)]
    legal_facts_ids: Vec<Fact>,
}

#[derive(Deserialize)]
struct Fact {
    key: String,
}

type Done<T> = Result<T, String>;
/// Number of the act behind each request.
type Notices = Mutex<HashMap<String, u64>>;

fn text(error: reqwest::Error) -> String {
    error.without_url().to_string()
}

impl Caller {
    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        request.header("x-api-key", format!("{}-banco", self.tax_id)).header("accept", "application/json")
    }

    async fn body(&self, request: RequestBuilder) -> Done<Bytes> {
        let answer = request.send().await.map_err(text)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(text)?;
        if status.is_success() { Ok(body) } else { Err(format!("{status}: {}", String::from_utf8_lossy(&body))) }
    }

    async fn json<T: serde::de::DeserializeOwned>(&self, request: RequestBuilder) -> Done<T> {
        serde_json::from_slice(&self.body(request).await?).map_err(|error| error.to_string())
    }

    /// Announces, uploads and sends fifteen acts.
    async fn send(&self, acts: &[Ready], notices: &Notices) -> Done<()> {
        let items: Vec<Value> = acts
            .iter()
            .enumerate()
            .map(|(index, act)| json!({"preloadIdx": index.to_string(), "contentType": "application/pdf", "sha256": act.sha256}))
            .collect();
        let url = format!("{}/delivery/attachments/preload", self.url);
        let slots: Vec<Slot> = self.json(self.signed(self.http.post(url)).json(&items)).await?;
        let uploads: Vec<_> = acts
            .iter()
            .enumerate()
            .filter_map(|(index, act)| {
                let slot = slots.iter().find(|slot| slot.preload_idx == index.to_string())?;
                Some(async move { self.upload(act, slot).await.map(|version| (act, slot, version)) })
            })
            .collect();
        let uploaded: Vec<_> = stream::iter(uploads).buffer_unordered(UPLOADS_AT_ONCE).collect().await;
        let mut posts = Vec::new();
        for done in uploaded {
            let (act, slot, version) = done?;
            let body = self.request(act, slot, &version);
            posts.push(async move {
                let url = format!("{}/delivery/v2.5/requests", self.url);
                #[derive(Deserialize)]
                #[serde(rename_all = "camelCase")]
                struct Taken {
                    notification_request_id: String,
                }
                let taken: Taken = self.json(self.signed(self.http.post(url)).json(&body)).await?;
                // To know which notice to ask the price of: the least that anyone must remember.
                notices.lock().unwrap_or_else(PoisonError::into_inner).insert(taken.notification_request_id, act.number);
                Ok::<(), String>(())
            });
        }
        futures_util::future::join_all(posts).await.into_iter().collect()
    }

    async fn upload(&self, act: &Ready, slot: &Slot) -> Done<String> {
        let request = self
            .http
            .put(&slot.url)
            .header("content-type", "application/pdf")
            .header("x-amz-meta-secret", &slot.secret)
            .header("x-amz-checksum-sha256", &act.sha256)
            .body(act.pdf.clone());
        let answer = request.send().await.map_err(text)?;
        let version = answer.headers().get("x-amz-version-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = answer.status();
        let body = answer.bytes().await.map_err(text)?;
        version.ok_or_else(|| format!("upload {status}: {}", String::from_utf8_lossy(&body)))
    }

    fn request(&self, act: &Ready, slot: &Slot, version: &str) -> Value {
        let number = act.number;
        json!({
            "idempotenceToken": sample::reference(number), "paProtocolNumber": format!("PROT/2026/{number:07}"),
            "subject": format!("Verbale di accertamento n. {number:07}"),
            "recipients": [{
                "recipientType": "PF", "taxId": sample::person(number), "denomination": "Mario Rossi",
                "digitalDomicile": {"type": "PEC", "address": PEC},
                "physicalAddress": {"address": "VIA ROMA 1", "zip": "00184", "municipality": "ROMA", "province": "RM"},
                "payments": [{"pagoPa": {"noticeCode": sample::notice(number), "creditorTaxId": self.tax_id, "applyCost": true}}],
            }],
            "documents": [{
                "digests": {"sha256": act.sha256}, "contentType": "application/pdf", "title": "Verbale",
                "ref": {"key": slot.key, "versionToken": version},
            }],
            "notificationFeePolicy": "DELIVERY_MODE", "physicalCommunicationType": "REGISTERED_LETTER_890",
            "senderDenomination": "Comune di Prova", "senderTaxId": self.tax_id, "amount": 4_200, "paymentExpirationDate": "2031-12-31",
            "taxonomyCode": "010101P", "paFee": 100, "vat": 22, "pagoPaIntMode": "SYNC",
        })
    }

    async fn stream(&self) -> Done<String> {
        let wish = json!({"title": "banco", "eventType": "TIMELINE", "groups": [], "filterValues": [], "waitForAccepted": false});
        let url = format!("{}/delivery-progresses/v2.9/streams", self.url);
        let made: Value = self.json(self.signed(self.http.post(url)).json(&wish)).await?;
        made.get("streamId").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| "nessuno stream".to_owned())
    }

    /// Reads events until the task is dropped; each completion and each legal fact is followed up.
    async fn listen(self: &Arc<Self>, stream_id: &str, notices: &Notices, failed: &mpsc::Sender<String>) -> Done<()> {
        let mut last: Option<String> = None;
        let mut completed: HashSet<String> = HashSet::new();
        loop {
            let mut url = format!("{}/delivery-progresses/v2.9/streams/{stream_id}/events", self.url);
            if let Some(last) = &last {
                url.push_str("?lastEventId=");
                url.push_str(last);
            }
            let answer = self.signed(self.http.get(url)).send().await.map_err(text)?;
            let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
            let body = answer.bytes().await.map_err(text)?;
            let events: Vec<Event> = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
            for event in events {
                let iun = event.iun.unwrap_or_default();
                for fact in event.element.legal_facts_ids {
                    let iun = iun.clone();
                    self.follow(failed, move |caller| async move { caller.legal_fact(&iun, &fact.key).await });
                }
                let completes = matches!(event.element.category.as_str(), "NOTIFICATION_VIEWED" | "REFINEMENT");
                if completes && completed.insert(iun) {
                    self.open.fetch_sub(1, Ordering::AcqRel);
                    let number = notices.lock().unwrap_or_else(PoisonError::into_inner).get(&event.notification_request_id).copied();
                    self.follow(failed, move |caller| async move { caller.price(number.unwrap_or(0)).await });
                }
                last = Some(event.event_id);
            }
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    fn follow<F: Future<Output = Done<()>> + Send + 'static>(
        self: &Arc<Self>,
        failed: &mpsc::Sender<String>,
        work: impl FnOnce(Arc<Caller>) -> F + Send + 'static,
    ) {
        let (caller, failed) = (self.clone(), failed.clone());
        self.pending.fetch_add(1, Ordering::AcqRel);
        tokio::spawn(async move {
            let permit = caller.follow_ups.acquire().await;
            let outcome = work(caller.clone()).await;
            drop(permit);
            caller.pending.fetch_sub(1, Ordering::AcqRel);
            if let Err(error) = outcome {
                let _ = failed.send(error).await;
            }
        });
    }

    async fn price(&self, number: u64) -> Done<()> {
        let url = format!("{}/delivery/v2.3/price/{}/{}", self.url, self.tax_id, sample::notice(number));
        self.json::<Value>(self.signed(self.http.get(url))).await.map(drop)
    }

    async fn legal_fact(&self, iun: &str, key: &str) -> Done<()> {
        let key = key.strip_prefix("safestorage://").unwrap_or(key);
        let link: Value =
            self.json(self.signed(self.http.get(format!("{}/delivery-push/{iun}/download/legal-facts/{key}", self.url)))).await?;
        let url = link.get("url").and_then(Value::as_str).ok_or("attestazione senza indirizzo")?;
        self.body(self.http.get(url)).await.map(drop)
    }
}

/// The measured side.
pub async fn measured(job: &Job) -> Result<Took, String> {
    let http = http::client(&HttpSettings { loopback_only: true, ..HttpSettings::default() }).map_err(|error| error.to_string())?;
    let total: u64 = job.enti.iter().map(|ente| ente.acts).sum();
    let open = Arc::new(AtomicUsize::new(usize::try_from(total).unwrap_or(0)));
    let pending = Arc::new(AtomicUsize::new(0));
    let (tell, mut failed) = mpsc::channel(64);
    let mut tasks = JoinSet::new();
    let mut work = Vec::new();
    for ente in &job.enti {
        let caller = Arc::new(Caller {
            http: http.clone(),
            url: job.url.clone(),
            tax_id: ente.tax_id.clone(),
            follow_ups: Semaphore::new(FOLLOW_UPS),
            open: open.clone(),
            pending: pending.clone(),
        });
        let acts: Vec<Ready> = (ente.first..ente.first + ente.acts).map(|number| ready(number, job.pdf_bytes)).collect();
        let notices = Arc::new(Notices::default());
        let stream_id = caller.stream().await?;
        let (listener, known, failed) = (caller.clone(), notices.clone(), tell.clone());
        tasks.spawn(async move {
            if let Err(error) = listener.listen(&stream_id, &known, &failed).await {
                let _ = failed.send(error).await;
            }
        });
        work.push((caller, acts, notices));
    }
    let (cpu, sandbox) = (cpu_seconds(None), cpu_seconds(Some(job.sandbox_pid)));
    let start = monotonic();
    for (caller, acts, notices) in work {
        let failed = tell.clone();
        tasks.spawn(async move {
            let sends: Vec<_> = acts.chunks(PRELOAD).map(|chunk| caller.send(chunk, &notices)).collect();
            let mut sends = stream::iter(sends).buffer_unordered(PRELOADS_AT_ONCE);
            while let Some(done) = sends.next().await {
                if let Err(error) = done {
                    let _ = failed.send(error).await;
                }
            }
        });
    }
    let mut seconds_completed = None;
    loop {
        if open.load(Ordering::Acquire) == 0 {
            seconds_completed.get_or_insert_with(|| start.elapsed().as_secs_f64());
            if pending.load(Ordering::Acquire) == 0 {
                break;
            }
        }
        if let Ok(error) = failed.try_recv() {
            return Err(format!("cliente nudo: {error}"));
        }
        if start.elapsed() > LIMIT {
            return Err("il cliente nudo non finisce".to_owned());
        }
        tokio::time::sleep(super::measure::POLL).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let took = Took {
        seconds_completed: seconds_completed.unwrap_or(seconds),
        seconds,
        cpu: cpu_seconds(None) - cpu,
        sandbox_cpu: cpu_seconds(Some(job.sandbox_pid)) - sandbox,
        peak_mib: peak_mib(),
        calls: counters(&job.url).await?,
    };
    tasks.abort_all();
    Ok(took)
}

fn ready(number: u64, pdf_bytes: usize) -> Ready {
    let pdf = sample::pdf(number, pdf_bytes);
    Ready { number, sha256: Sha256::of(&pdf).to_base64(), pdf: pdf.into() }
}

/// Calls by operation so far, as the simulator counted them.
pub async fn counters(url: &str) -> Result<Value, String> {
    let answer = Client::new().get(format!("{url}/_sandbox/counters")).send().await.map_err(text)?;
    let counters: Value = serde_json::from_slice(&answer.bytes().await.map_err(text)?).map_err(|error| error.to_string())?;
    Ok(counters.get("operations").cloned().unwrap_or(counters))
}
