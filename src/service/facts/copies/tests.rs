//! Facts of two gestionali on a hub whose tasks do not run.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use super::super::{Arrived, Body, Delivery, begin};
use super::*;
use crate::batch::archive::sample::{piece, zip};
use crate::domain::ids::ActId;
use crate::domain::send::{LegalFactId, StreamEvent, TimelineElement};
use crate::flow::effect::Effect;
use crate::flow::event::Fact;
use crate::outbox::legal_facts;
use crate::service::ingest;
use crate::service::tests::{House, SOURCE};
use crate::store::{BatchWork, JobRef, LegalFactToFetch, Subject};

const OTHER: &str = "tributi";
/// For a share that hangs.
const LONG: Duration = Duration::from_secs(8);

fn two() -> House {
    let other = format!("\n[[gestionale]]\nname = \"{OTHER}\"\nroot = \"altra\"\nenti = [\"01234567897\"]\nflows = [\"ordinanze\"]\n");
    let mut house = House::with("", &other);
    Arc::get_mut(&mut house.hub).unwrap().facts.patience = LONG;
    for root in ["casa", "altra"] {
        fs::create_dir_all(house.dir.path().join(root).join("in")).unwrap();
    }
    house
}

/// An act with a fact that SEND has announced, under the lease of its job.
struct Announced {
    act: ActId,
    job: JobRef,
    fact: LegalFactToFetch,
    /// Where its copy goes.
    path: PathBuf,
    bytes: Vec<u8>,
}

impl House {
    async fn announced(&self, source: &str, n: u32) -> Announced {
        let (store, now) = (&self.hub.store, self.hub.clock.now());
        let csv = format!(
            "riferimento;ente;azione;protocollo;oggetto;tipo_destinatario;codice_fiscale;denominazione;indirizzo;cap;comune;provincia;documento_file_1\r\n\
             F-{n};01234567897;inserisci;P-{n};Atto;PF;RSSMRA80A01H501U;Mario Rossi;VIA ROMA 1;00184;ROMA;RM;atto.pdf\r\n"
        );
        let lot = zip(&[piece("lotto.csv", csv), piece("atto.pdf", format!("%PDF-1.4\natto {n}\n%%EOF\n"))]);
        let mut claimed = self.claimed("lotto.zip", Some(&lot));
        (claimed.source, claimed.flow_hint) = (source.to_owned(), Some("ordinanze".to_owned()));
        ingest::ingest(&self.hub, &claimed).await.unwrap();
        assert_eq!(self.state(claimed.id).await, "PRESA_IN_CARICO", "{:?}", self.codes(claimed.id).await);
        let until = now + SignedDuration::from_hours(1);
        for leased in store.lease("prova", vec![(String::new(), 0, 100)], until, now).await.unwrap() {
            if let Subject::Lotto { batch, work: BatchWork::Start } = leased.subject {
                while store.start_acts(batch, leased.job, now).await.unwrap() {}
            }
        }
        let act = store.find_acts(&format!("F-{n}")).await.unwrap()[0].id;
        let (request_id, iun) = (Some(format!("richiesta-{n:012}")), format!("ADEG-HJKL-{n:04}-202611-A-1"));
        store.record(act, Fact::Accepted { request_id: request_id.clone(), iun: iun.clone(), at: Some(now) }, None, now).await.unwrap();
        let event = StreamEvent {
            event_id: format!("{n:038}"),
            request_id,
            iun: Some(iun),
            new_status: None,
            element: TimelineElement {
                element_id: format!("REQUEST_ACCEPTED.{n}"),
                timestamp: None,
                event_timestamp: Some(now),
                ingestion_timestamp: None,
                legal_facts_ids: vec![LegalFactId { key: format!("PN_LEGAL_FACTS-{n}.pdf"), category: "SENDER_ACK".to_owned() }],
                category: "REQUEST_ACCEPTED".to_owned(),
                details: serde_json::json!({}),
            },
        };
        let channel = self.hub.channels.keys().next().unwrap().clone();
        assert_eq!(store.record_events(&channel, "flusso", vec![event], now).await.unwrap().new, 1);
        let jobs = store.lease("prova", vec![(channel, 2, 100)], until, now).await.unwrap();
        let fetches = |subject: &Subject| *subject == Subject::Notifica { act, effect: Effect::FetchLegalFacts };
        let job = jobs.into_iter().find(|job| fetches(&job.subject)).unwrap().job;
        let fact = store.facts_to_fetch(vec![act]).await.unwrap().remove(0).remove(0);
        let path = self.hub.settings().source(source).unwrap().root.join(KEPT).join(legal_facts::folder(&fact.iun, fact.happened_at));
        let path = path.join(self.name(&fact));
        Announced { act, job, path, bytes: format!("%PDF-1.4\nattestazione {n}\n{}", "x".repeat(100_000)).into_bytes(), fact }
    }

    fn name(&self, fact: &LegalFactToFetch) -> String {
        legal_facts::file_name(&legal_facts::name_stem(&fact.category, fact.recipient, fact.happened_at), fact.ordinal, "pdf")
    }

    /// As [`super::super::arrive`] leaves it, large or small.
    fn delivery(&self, announced: &Announced, large: bool) -> Delivery {
        let Announced { act, job, fact, bytes, .. } = announced;
        let (body, content) = if large {
            let mut own = begin(&self.hub.config.data.join(KEPT), bytes).unwrap();
            let again = own.again().unwrap();
            (Body::Written(Box::new(own)), Content::Written(again))
        } else {
            let bytes = Arc::new(bytes.clone());
            (Body::Small(bytes.clone()), Content::Small(bytes))
        };
        let arrived = Arrived {
            key: fact.key.clone(),
            source: fact.source.clone(),
            happened_at: fact.happened_at,
            folder: legal_facts::folder(&fact.iun, fact.happened_at),
            name: self.name(fact),
            body,
            content,
        };
        Delivery { act: *act, job: *job, facts: vec![arrived] }
    }

    fn kept_fact(&self, announced: &Announced) -> PathBuf {
        let sha256 = crate::domain::digest::Sha256::of(&announced.bytes);
        kept_path(&self.hub.config.data.join(KEPT), announced.fact.happened_at, &sha256)
    }

    /// Names of the acts whose attestations an index would list.
    async fn indexed(&self, source: &str) -> Vec<String> {
        self.hub.store.facts_to_index(source).await.unwrap().into_iter().map(|fact| fact.reference).collect()
    }

    async fn waiting(&self, source: &str) -> usize {
        self.hub.store.copies_to_make(source, 100).await.unwrap().len()
    }

    fn temporaries(&self, root: &str) -> usize {
        let Ok(found) = fs::read_dir(self.dir.path().join(root).join(KEPT)) else { return 0 };
        found.filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_file()).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_large_and_small_are_kept_and_copied() {
    let house = two();
    for (n, large) in [(1, true), (2, false)] {
        let announced = house.announced(SOURCE, n).await;
        assert_eq!(house.hub.facts.place(&house.hub, house.delivery(&announced, large)).await.unwrap(), 0);
        assert_eq!(fs::read(&announced.path).unwrap(), announced.bytes, "large: {large}");
        assert_eq!(fs::read(house.kept_fact(&announced)).unwrap(), announced.bytes, "large: {large}");
    }
    assert_eq!(house.indexed(SOURCE).await, ["F-1", "F-2"]);
    assert_eq!((house.waiting(SOURCE).await, house.temporaries("casa"), house.temporaries("dati")), (0, 0, 0));
}

/// The thread that copies into one folder hangs: its facts are stored all the same, and copied when it works again; those of the other
/// gestionale do not wait at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_hangs_keeps_nobody_else_waiting_and_gets_its_copies_later() {
    let house = two();
    let (first, other, second) = (house.announced(SOURCE, 1).await, house.announced(OTHER, 2).await, house.announced(SOURCE, 3).await);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut hangs = house.delivery(&first, true);
    hangs.facts[0].content = Content::Written(File::from(std::os::fd::OwnedFd::from(reader)));
    let hub = house.hub.clone();
    let begun = monotonic();
    let placing = tokio::spawn(async move { hub.facts.place(&hub, hangs).await });
    while house.hub.shares.touches(SOURCE) == 0 {
        assert!(begun.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(house.hub.facts.place(&house.hub, house.delivery(&other, true)).await.unwrap(), 0);
    assert!(!placing.is_finished(), "the other one went on meanwhile: {:?}", begun.elapsed());
    assert_eq!(fs::read(&other.path).unwrap(), other.bytes);
    assert_eq!(house.indexed(OTHER).await, ["F-2"]);

    assert_eq!(placing.await.unwrap().unwrap(), 0, "stored");
    assert_eq!(house.hub.store.facts_to_fetch(vec![first.act]).await.unwrap(), [vec![]], "never downloaded again");
    assert_eq!(fs::read(house.kept_fact(&first)).unwrap(), first.bytes);
    let again = monotonic();
    assert_eq!(house.hub.facts.place(&house.hub, house.delivery(&second, false)).await.unwrap(), 0);
    assert!(again.elapsed() < LONG, "nobody waits twice: {:?}", again.elapsed());
    assert_eq!((house.waiting(SOURCE).await, house.indexed(SOURCE).await), (2, vec![]), "no index names what is not there");

    // It works again; what was copied too late is nobody's.
    drop(writer);
    let begun = monotonic();
    while house.hub.shares.touches(SOURCE) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(house.temporaries("casa"), 0);
    assert!(later(&house.hub, SOURCE).await.unwrap());
    for announced in [&first, &second] {
        assert_eq!(fs::read(&announced.path).unwrap(), announced.bytes);
        assert!(house.hub.store.publications_of(announced.act.0).await.unwrap().iter().all(|file| file.published));
    }
    assert_eq!((house.waiting(SOURCE).await, house.indexed(SOURCE).await), (0, vec!["F-1".to_owned(), "F-3".to_owned()]));
    // Its reader takes it away: it is not published twice.
    fs::remove_file(&first.path).unwrap();
    assert!(later(&house.hub, SOURCE).await.unwrap() && !first.path.exists());
    let third = house.announced(SOURCE, 4).await;
    house.hub.facts.place(&house.hub, house.delivery(&third, false)).await.unwrap();
    assert_eq!(fs::read(&third.path).unwrap(), third.bytes, "at once again");
}

/// A share that is not mounted is not written beneath; what we no longer have, or no longer as it came, is given up.
#[tokio::test(flavor = "multi_thread")]
async fn copies_wait_for_a_share_that_is_away() {
    let house = two();
    let root = house.dir.path().join("casa");
    fs::remove_dir(root.join("in")).unwrap();
    let mut all = BTreeMap::new();
    for (n, what) in [(1, "good"), (2, "lost"), (3, "spoiled"), (4, "deleted"), (5, "good too")] {
        let announced = house.announced(SOURCE, n).await;
        assert_eq!(house.hub.facts.place(&house.hub, house.delivery(&announced, n % 2 == 0)).await.unwrap(), 0);
        all.insert(what, announced);
    }
    assert!(!root.join(KEPT).exists());
    let away = later(&house.hub, SOURCE).await;
    assert!(matches!(&away, Err(PublishError::Disk(error)) if error.kind() == ErrorKind::NotFound), "{away:?}");
    assert_eq!(house.waiting(SOURCE).await, 5);

    fs::remove_file(house.kept_fact(&all["lost"])).unwrap();
    fs::write(house.kept_fact(&all["spoiled"]), "altro").unwrap();
    house.hub.store.facts_erased(vec![all["deleted"].act], Timestamp::UNIX_EPOCH).await.unwrap();
    fs::create_dir(root.join("in")).unwrap();
    assert!(later(&house.hub, SOURCE).await.unwrap());
    for (what, announced) in &all {
        assert_eq!(announced.path.exists(), what.starts_with("good"), "{what}");
    }
    assert_eq!((house.waiting(SOURCE).await, house.temporaries("casa")), (0, 0));
    assert_eq!((house.told(LOST).await, house.told(UNREADABLE).await), (2, 0), "of what was deleted in its time nobody is told");
}

/// What we cannot read keeps nobody waiting, is told once and tried again later.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_fact_that_cannot_be_read_is_told_once_and_tried_again_later() {
    let house = two();
    let root = house.dir.path().join("casa");
    fs::rename(root.join("in"), root.join("via")).unwrap();
    let mut all = Vec::new();
    for n in 1..=3 {
        let announced = house.announced(SOURCE, n).await;
        house.hub.facts.place(&house.hub, house.delivery(&announced, false)).await.unwrap();
        all.push(announced);
    }
    fs::rename(root.join("via"), root.join("in")).unwrap();
    // It opens, and every read fails, as one of a broken disk does.
    let broken = house.kept_fact(&all[0]);
    fs::remove_file(&broken).unwrap();
    fs::create_dir(&broken).unwrap();
    for round in 0..3 {
        assert!(later(&house.hub, SOURCE).await.unwrap(), "nothing else is left in round {round}");
        assert_eq!(all.iter().map(|one| one.path.exists()).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!((house.waiting(SOURCE).await, house.told(UNREADABLE).await, house.told(LOST).await), (1, 1, 0), "{round}");
        assert_eq!(house.hub.facts.line(SOURCE).unread().len(), 1);
    }
    // What comes now does not wait behind it.
    let next = house.announced(SOURCE, 4).await;
    house.hub.facts.place(&house.hub, house.delivery(&next, false)).await.unwrap();
    assert_eq!((fs::read(&next.path).unwrap(), house.waiting(SOURCE).await), (next.bytes, 1));
    // After a while it is tried again: told no more, and made once it can be read.
    house.hub.facts.line(SOURCE).unread().clear();
    assert!(later(&house.hub, SOURCE).await.unwrap());
    assert_eq!((house.waiting(SOURCE).await, house.told(UNREADABLE).await), (1, 1));
    fs::remove_dir(&broken).unwrap();
    fs::write(&broken, &all[0].bytes).unwrap();
    assert!(later(&house.hub, SOURCE).await.unwrap() && !all[0].path.exists(), "not yet");
    house.hub.facts.line(SOURCE).unread().clear();
    assert!(later(&house.hub, SOURCE).await.unwrap());
    assert_eq!((fs::read(&all[0].path).unwrap(), house.waiting(SOURCE).await), (all[0].bytes.clone(), 0));
}
