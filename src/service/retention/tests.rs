//! Rounds of deletions on a hub whose tasks do not run.

mod away;

use std::fs;
use std::io::Read;

use super::*;
use crate::batch::archive::sample::{piece, zip};
use crate::config;
use crate::domain::ids::ActId;
use crate::flow::event::Order;
use crate::service::files::entry_of;
use crate::service::operate::{PersonEraser, TaxId};
use crate::service::report::{PersonStage, PersonVerdict};
use crate::service::tests::{House, SOURCE};
use crate::service::{ingest, publish};
use crate::store::{BatchWork, NewDrop, Staging, Subject};

fn days(house: &House, days: i64) -> Timestamp {
    house.hub.clock.now() + SignedDuration::from_hours(24 * days)
}

/// Two acts of two people (invented), each with a document of its own, and one document for both.
fn lot() -> Vec<u8> {
    lot_of("A")
}

/// The same, of references that begin with that.
fn lot_of(series: &str) -> Vec<u8> {
    let head = "riferimento;ente;azione;protocollo;oggetto;tipo_destinatario;codice_fiscale;denominazione;indirizzo;cap;comune;provincia;\
                documento_file_1;documento_file_2;documento_condiviso_2\r\n";
    let row = |reference: &str, tax_id: &str, name: &str, file: &str| {
        format!(
            "{reference};01234567897;inserisci;P-{reference};Atto;PF;{tax_id};{name};VIA ROMA 1;00184;ROMA;RM;{file};informativa.pdf;SI\r\n"
        )
    };
    let csv = [
        head.to_owned(),
        row(&format!("{series}-1"), "RSSMRA80A01H501U", "Mario Rossi", "rossi.pdf"),
        row(&format!("{series}-2"), "BNRMHL75C06G702B", "Michele Bianconi", "bianconi.pdf"),
    ];
    let pdf = |name: &str| format!("%PDF-1.4\n{}\n%%EOF\n", name.repeat(50));
    let files = ["rossi", "bianconi", "informativa"].map(|name| piece(format!("{name}.pdf"), pdf(name)));
    zip(&[&[piece("lotto.csv", csv.concat())], &files[..]].concat())
}

impl House {
    /// Takes a lot in, starts its acts, and has no other work left.
    async fn started(&self, bytes: &[u8]) -> BatchId {
        self.started_of(SOURCE, bytes).await
    }

    async fn started_of(&self, source: &str, bytes: &[u8]) -> BatchId {
        let mut claimed = self.claimed("rossi_mario.zip", Some(bytes));
        claimed.source = source.to_owned();
        claimed.flow_hint = Some("ordinanze".to_owned());
        ingest::ingest(&self.hub, &claimed).await.unwrap();
        assert_eq!(self.state(claimed.id).await, "PRESA_IN_CARICO", "{:?}", self.codes(claimed.id).await);
        let (store, now) = (&self.hub.store, self.hub.clock.now());
        for leased in store.lease("prova", vec![(String::new(), 0, 100), (String::new(), 3, 100)], days(self, 1), now).await.unwrap() {
            match leased.subject {
                Subject::Lotto { batch, work: BatchWork::Start } => while store.start_acts(batch, leased.job, now).await.unwrap() {},
                _ => store.finish_job(leased.job).await.unwrap(),
            }
        }
        claimed.id
    }

    async fn act(&self, reference: &str) -> ActId {
        self.hub.store.find_acts(reference).await.unwrap()[0].id
    }

    async fn withdraw(&self, reference: &str) {
        let act = self.act(reference).await;
        self.hub.store.order(act, Order::Cancel, "prova", "prova", self.hub.clock.now()).await.unwrap();
    }

    /// The bytes of the documents of an act, each proved to be what was accepted.
    async fn documents(&self, reference: &str) -> Result<Vec<Vec<u8>>, io::Error> {
        let act = self.act(reference).await;
        let material = self.hub.store.material(vec![act]).await.unwrap().ready.remove(0);
        let mut found = Vec::new();
        for file in material.content.files() {
            let kept = self.hub.store.kept_entry(material.archive, file.stored.unwrap().entry).await.unwrap();
            let mut bytes = Vec::new();
            self.hub.archives.verified_entry(&material.archive, &entry_of(&kept), kept.sha256)?.read_to_end(&mut bytes)?;
            found.push(bytes);
        }
        Ok(found)
    }
}

fn holds(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_open_act_needs_stays_until_it_is_over_too() {
    let house = House::with("[ente.conservazione]\npersonal_days = 130\n", "");
    let bytes = lot();
    let batch = house.started(&bytes).await;
    let path = house.kept(&bytes);
    house.withdraw("A-1").await;
    assert_eq!(round(&house.hub, days(&house, 129)).await.unwrap().acts, 0, "its term has not passed");
    let tally = round(&house.hub, days(&house, 131)).await.unwrap();
    assert_eq!((tally.acts, tally.batches, tally.archives), (1, 0, 0));
    let left = fs::read(&path).unwrap();
    assert_eq!(left.len(), bytes.len());
    assert!(holds(&bytes, "rossi.pdf") && !holds(&left, "rossi.pdf") && holds(&left, "bianconi.pdf") && holds(&left, "informativa.pdf"));
    assert_eq!(house.documents("A-2").await.unwrap().len(), 2, "its own and the one that both had");
    assert!(house.hub.store.material(vec![house.act("A-1").await]).await.unwrap().ready.is_empty());
    // Once more: nothing is left to do, and nothing is done twice.
    assert_eq!(round(&house.hub, days(&house, 132)).await.unwrap(), Tally::default());
    assert!(house.hub.store.batch(batch).await.unwrap().erased_at.is_none());
    assert_eq!(house.hub.store.batch(batch).await.unwrap().original_name, "rossi_mario.zip");

    house.withdraw("A-2").await;
    let tally = round(&house.hub, days(&house, 131)).await.unwrap();
    assert_eq!((tally.acts, tally.batches, tally.archives), (1, 1, 1));
    assert!(!path.exists());
    assert_eq!(house.hub.store.batch(batch).await.unwrap().original_name, "");
    assert_eq!(
        house.hub.store.kept_entry(Sha256::of(&bytes), 1).await.unwrap().sha256,
        Sha256::of(&format!("%PDF-1.4\n{}\n%%EOF\n", "rossi".repeat(50)).into_bytes()),
        "digests stay"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_unless_the_ente_says_so() {
    let house = House::new();
    let bytes = lot();
    house.started(&bytes).await;
    house.withdraw("A-1").await;
    house.withdraw("A-2").await;
    assert_eq!(round(&house.hub, days(&house, 36_500)).await.unwrap(), Tally::default());
    assert!(house.kept(&bytes).exists());
    assert_eq!(house.documents("A-1").await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn published_files_go_while_they_are_what_messo_wrote() {
    let house = House::with("", "[gestionale.conservazione]\npublished_days = 10\n");
    fs::create_dir_all(house.dir.path().join("casa/in")).unwrap();
    let folder = house.dir.path().join("casa/ricevute");
    for name in ["una.xml", "cambiata.xml", "tolta.xml"] {
        publish::once(&house.hub, "RICEVUTA", SOURCE, "ricevute", name, None, |out| out.write_all(b"<ricevuta/>")).await.unwrap();
    }
    fs::write(folder.join("cambiata.xml"), "di qualcun altro").unwrap();
    fs::remove_file(folder.join("tolta.xml")).unwrap();
    assert_eq!(round(&house.hub, days(&house, 9)).await.unwrap().published, 0);
    assert!(folder.join("una.xml").exists());
    // A share that is away is not a folder that was emptied: another day.
    fs::rename(house.dir.path().join("casa/in"), house.dir.path().join("casa/via")).unwrap();
    assert_eq!(round(&house.hub, days(&house, 11)).await.unwrap().published, 0);
    fs::rename(house.dir.path().join("casa/via"), house.dir.path().join("casa/in")).unwrap();
    assert_eq!(round(&house.hub, days(&house, 11)).await.unwrap().published, 1);
    assert!(!folder.join("una.xml").exists() && folder.join("cambiata.xml").exists());
    assert_eq!(round(&house.hub, days(&house, 12)).await.unwrap().published, 0);
}

/// The configuration is read again: the term that holds now is the one that counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_term_of_disputes_that_was_changed_holds_without_a_restart() {
    let house = House::new();
    house.started(&lot()).await;
    house.withdraw("A-1").await;
    let eraser = Eraser(house.hub.clone());
    let look = async || eraser.find(&TaxId::typed("RSSMRA80A01H501U"), None).await.unwrap().acts.remove(0);
    assert_eq!(look().await.verdict, PersonVerdict::Contestable);
    house.dispute_days(0);
    assert_eq!(look().await.verdict, PersonVerdict::Erasable);
}

impl House {
    fn dispute_days(&self, days: u32) {
        let mut config = config::Config::clone(&self.hub.settings());
        config.institutions[0].conservazione.dispute_days = days;
        self.hub.settings.put(config);
    }

    /// The files in the archives that name a person, with how many nobody can read.
    async fn named_files(&self, tax_id: &str) -> (Vec<BatchId>, u64) {
        let eraser = Eraser(self.hub.clone());
        let page = eraser.find(&TaxId::typed(tax_id), Some(PersonStage::Files { after: None })).await.unwrap();
        assert_eq!(page.next, None);
        (page.batches.into_iter().map(|batch| batch.batch).collect(), page.unreadable)
    }

    async fn refused(&self, name: &str, bytes: &[u8]) -> BatchId {
        let claimed = self.claimed(name, Some(bytes));
        ingest::ingest(&self.hub, &claimed).await.unwrap();
        assert_eq!(self.state(claimed.id).await, "SCARTATO", "{name}");
        // Its receipt is written.
        for leased in self.hub.store.lease("prova", vec![(String::new(), 3, 100)], days(self, 1), self.hub.clock.now()).await.unwrap() {
            self.hub.store.finish_job(leased.job).await.unwrap();
        }
        claimed.id
    }
}

/// A drop that was refused before anybody knew what it was lies in the archives like any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_found_in_drops_of_which_nothing_was_read() {
    let house = House::new();
    house.dispute_days(0);
    let noise: String = (0..2_000).map(|n| format!("riga {n} di prova; ")).collect();
    let text = |tax_id: &str| format!("{noise}\r\n{tax_id}\r\n{noise}");
    let unknown = zip(&[piece("elenco.txt", text("rssmra80a01h501u")), piece("atto.pdf", "%PDF-1.4\nRSSMRA80A01H501U\n%%EOF\n")]);
    let only_pdf = zip(&[piece("elenco.txt", text("-")), piece("atto.pdf", "%PDF-1.4\nVRDGPP80A01H501X\n%%EOF\n")]);
    let name = zip(&[piece("BNRMHL75C06G702B.txt", "nulla")]);
    let whole = zip(&[piece("elenco.txt", text("RSSMRA80A01H501U"))]);
    let in_zip = house.refused("uno.zip", &unknown).await;
    let bare = house.refused("due.csv", text("RSSMRA80A01H501U").as_bytes()).await;
    house.refused("tre.zip", &only_pdf).await;
    let in_name = house.refused("quattro.zip", &name).await;
    let broken = house.refused("cinque.zip", &whole[..whole.len() - 30]).await;
    assert_eq!(house.named_files("RSSMRA80A01H501U").await, (vec![in_zip, bare], 1));
    assert_eq!(house.named_files("BNRMHL75C06G702B").await, (vec![in_name], 1));
    assert_eq!(house.named_files("VRDGPP80A01H501X").await, (vec![], 1), "PDFs are the documents of acts");
    // What was found goes, with the bytes.
    let eraser = Eraser(house.hub.clone());
    let report = eraser.erase(&TaxId::typed("RSSMRA80A01H501U"), Vec::new(), vec![in_zip, bare]).await.unwrap();
    assert!(report.batches.iter().all(|batch| batch.verdict == PersonVerdict::Erased), "{:?}", report.batches);
    assert!(!house.kept(&unknown).exists());
    assert_eq!(house.named_files("RSSMRA80A01H501U").await, (vec![], 1));
    assert!(house.hub.store.batch(broken).await.unwrap().erased_at.is_none());
}

/// The same bytes are being read again at that moment: what was decided is not done yet, and nobody is told that it is.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_deleted_is_counted_as_deleted() {
    let house = House::new();
    house.dispute_days(0);
    let bytes = lot();
    house.started(&bytes).await;
    house.withdraw("A-1").await;
    let reading = BatchId(crate::clock::new_uuid());
    let drop = NewDrop {
        id: reading,
        source: SOURCE.to_owned(),
        original_name: "ancora.zip".to_owned(),
        flow_hint: None,
        dry_run: false,
        received_at: house.hub.clock.now(),
    };
    house.hub.store.claim(drop).await.unwrap();
    let staging = Staging {
        batch: reading,
        source: SOURCE.to_owned(),
        sha256: Sha256::of(&bytes),
        size: bytes.len() as u64,
        layout: None,
        batch_file: String::new(),
        batch_entry: 0,
        bare: false,
        sender: None,
        flow: None,
    };
    house.hub.store.begin_staging(staging).await.unwrap();
    let (eraser, person) = (Eraser(house.hub.clone()), TaxId::typed("RSSMRA80A01H501U"));
    let report = eraser.erase(&person, vec![house.act("A-1").await], Vec::new()).await.unwrap();
    assert_eq!((report.erased_acts, report.acts[0].verdict, report.acts[0].erased_at), (0, PersonVerdict::Waiting, None));
    house.hub.store.forget_reading(reading).await.unwrap();
    let report = eraser.erase(&person, vec![house.act("A-1").await], Vec::new()).await.unwrap();
    assert_eq!(report.erased_acts, 1);
    assert!(report.acts[0].erased_at.is_some());
}

/// Whose bytes they are is known before anybody may erase them, and nobody keeps them while they are being erased.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_not_erased_while_a_drop_with_the_same_ones_is_taken_in() {
    let house = House::with("[ente.conservazione]\npersonal_days = 130\n", "");
    let bytes = lot();
    house.started(&bytes).await;
    house.withdraw("A-1").await;
    house.withdraw("A-2").await;
    let long = Duration::from_millis(300);
    let taking = house.hub.taking.read().await;
    let (hub, later) = (house.hub.clone(), days(&house, 131));
    let mut erasing = tokio::spawn(async move { round(&hub, later).await });
    assert!(tokio::time::timeout(long, &mut erasing).await.is_err(), "it waits for who takes a drop in");
    assert!(house.kept(&bytes).exists());
    drop(taking);
    assert_eq!(erasing.await.unwrap().unwrap().archives, 1);
    assert!(!house.kept(&bytes).exists());
    let erasing = house.hub.taking.write().await;
    // From another gestionale they might be the same ones.
    let bytes = zip(&[piece("nota.txt", "nulla")]);
    let (hub, claimed) = (house.hub.clone(), house.claimed("nuovo.zip", Some(&bytes)));
    let id = claimed.id;
    let mut taken = tokio::spawn(async move { ingest::ingest(&hub, &claimed).await });
    assert!(tokio::time::timeout(long, &mut taken).await.is_err(), "it waits for who erases");
    assert!(!house.kept(&bytes).exists(), "not kept before");
    drop(erasing);
    taken.await.unwrap().unwrap();
    assert!(house.kept(&bytes).exists() && house.hub.store.batch(id).await.unwrap().sha256.is_some());
}

/// An archive that cannot be removed keeps neither the other steps of the night from being taken nor their order from the books.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_holds_up_none_of_the_others() {
    let house = House::with("[ente.conservazione]\npersonal_days = 130\n", "[gestionale.conservazione]\npublished_days = 10\n");
    fs::create_dir_all(house.dir.path().join("casa/in")).unwrap();
    publish::once(&house.hub, "RICEVUTA", SOURCE, "ricevute", "una.xml", None, |out| out.write_all(b"<ricevuta/>")).await.unwrap();
    let bytes = lot();
    house.started(&bytes).await;
    house.withdraw("A-1").await;
    house.withdraw("A-2").await;
    let kept = house.kept(&bytes);
    fs::remove_file(&kept).unwrap();
    fs::create_dir(&kept).unwrap();
    let now = days(&house, 131);
    assert!(matches!(round(&house.hub, now).await, Err(RetentionError::Disk(_))));
    assert!(!house.dir.path().join("casa/ricevute/una.xml").exists(), "files whose term has passed went all the same");
    let span = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
    let orders = house.hub.store.orders(span, None, Some("retention"), 9).await.unwrap();
    assert_eq!(orders.len(), 1, "what was done is in the books");
    assert!(orders[0].line.about.contains("\"published\":1"), "{}", orders[0].line.about);
    fs::remove_dir(&kept).unwrap();
    let tally = round(&house.hub, now).await.unwrap();
    assert_eq!((tally.acts, tally.published), (2, 0), "the rest another time");
}

/// The name of a receipt goes with the data of its drop; the file itself goes at its own term all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_name_was_deleted_is_found_by_its_content() {
    let terms = ("[ente.conservazione]\npersonal_days = 130\n", "[gestionale.conservazione]\npublished_days = 200\n");
    let house = House::with(terms.0, terms.1);
    fs::create_dir_all(house.dir.path().join("casa/in")).unwrap();
    let batch = house.started(&lot()).await;
    let receipt = |out: &mut dyn std::io::Write| out.write_all(b"<ricevuta>rossi</ricevuta>");
    publish::once(&house.hub, "RICEVUTA", SOURCE, "ricevute", "r_rossi_mario.xml", Some(batch.0), receipt).await.unwrap();
    let folder = house.dir.path().join("casa/ricevute");
    // Of the same size, and somebody else's.
    fs::write(folder.join("altro.xml"), "<ricevuta>verdi</ricevuta>").unwrap();
    house.withdraw("A-1").await;
    house.withdraw("A-2").await;
    assert_eq!(round(&house.hub, days(&house, 131)).await.unwrap().batches, 1);
    let names: Vec<String> = house.hub.store.publications_of(batch.0).await.unwrap().into_iter().map(|file| file.name).collect();
    assert!(names[0].starts_with("cancellato_"), "{names:?}");
    assert!(folder.join("r_rossi_mario.xml").exists(), "its own term has not passed");
    assert_eq!(round(&house.hub, days(&house, 201)).await.unwrap().published, 1);
    assert!(!folder.join("r_rossi_mario.xml").exists() && folder.join("altro.xml").exists());
}

/// One file that cannot be read keeps the others from going as little as one that was changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_published_file_that_cannot_be_read_stays_and_the_others_go() {
    let house = House::with("", "[gestionale.conservazione]\npublished_days = 10\n");
    fs::create_dir_all(house.dir.path().join("casa/in")).unwrap();
    let folder = house.dir.path().join("casa/ricevute");
    for name in ["a.xml", "b.xml", "c.xml"] {
        publish::once(&house.hub, "RICEVUTA", SOURCE, "ricevute", name, None, |out| out.write_all(b"<ricevuta/>")).await.unwrap();
    }
    fs::remove_file(folder.join("b.xml")).unwrap();
    fs::create_dir(folder.join("b.xml")).unwrap();
    assert_eq!(round(&house.hub, days(&house, 11)).await.unwrap().published, 2);
    assert!(!folder.join("a.xml").exists() && folder.join("b.xml").is_dir() && !folder.join("c.xml").exists());
}

impl House {
    /// The round is due at every hour of the day.
    fn any_hour(&self) {
        let mut config = config::Config::clone(&self.hub.settings());
        config.conservazione.at = jiff::civil::Time::MIN;
        self.hub.settings.put(config);
    }

    /// What the rounds of so many days deleted, looked at four times a day, with the clock at `wall` on the first one.
    async fn days_of(&self, wall: Timestamp, hours: i64) -> u64 {
        let (mut wall, mut acts) = (wall, 0);
        for look in 0..hours / 6 {
            let passed = if look == 0 { SignedDuration::ZERO } else { SignedDuration::from_hours(6) };
            wall += passed;
            acts += super::look(&self.hub, wall, passed).await.unwrap().map_or(0, |tally| tally.acts);
        }
        acts
    }

    async fn closed() -> House {
        let house = House::with("[ente.conservazione]\npersonal_days = 130\n", "");
        house.any_hour();
        house.started(&lot()).await;
        house.withdraw("A-1").await;
        house.withdraw("A-2").await;
        house
    }
}

/// A clock that is set five years on deletes nothing, neither while messo runs nor at a start; put right again, it is as if nothing had been.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_runs_ahead_deletes_nothing() {
    let ahead = days(&House::new(), 5 * 365);
    for at_a_start in [false, true] {
        let house = House::closed().await;
        let today = house.hub.clock.now();
        assert_eq!(house.days_of(today, 24).await, 0);
        let passed = SignedDuration::from_secs(if at_a_start { 0 } else { 60 });
        assert_eq!(super::look(&house.hub, ahead, passed).await.unwrap(), Some(Tally::default()), "at a start: {at_a_start}");
        assert_eq!(house.days_of(ahead, 6 * 24).await, 0, "nor in the days in which somebody may put it right");
        assert_eq!(house.alerts().await.iter().filter(|code| *code == HELD).count(), 1, "told once");
        // Nor does a person's request before its day: dispute_days are counted in the same way.
        assert!(sure_time(&house.hub, ahead).await.unwrap() < days(&house, 8), "dispute_days are counted in the same way");
        let back = days(&house, 7);
        // As whoever leases jobs does at once.
        house.hub.store.clock_jumped(back.duration_since(ahead), back).await.unwrap();
        assert_eq!(house.days_of(back, 48).await, 0);
        assert_eq!(house.alerts().await.iter().filter(|code| *code == RESUMED).count(), 1);
        assert_eq!(house.documents("A-1").await.unwrap().len(), 2);
        // Time that really passes counts.
        assert_eq!(house.days_of(days(&house, 9), 24 * 122).await, 2);
    }
}

/// Of a machine that was off for months nobody can tell that it was: its clock is believed after a week in which nobody put it right.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_off_deletes_in_the_end() {
    let house = House::closed().await;
    assert_eq!(house.days_of(days(&house, 0), 24 * 100).await, 0);
    let on_again = days(&house, 140);
    assert_eq!(house.days_of(on_again, 24 * 6).await, 0, "not at once");
    assert!(house.alerts().await.contains(&HELD.to_owned()));
    // Restarted meanwhile.
    assert_eq!(house.days_of(on_again + SignedDuration::from_hours(24 * 6), 60).await, 2, "a week after");
    assert_eq!(house.alerts().await.iter().filter(|code| *code == RESUMED).count(), 1);
}

/// A copy in which the act is open again: its deletion waits until it is closed, and nobody passes over it without saying so.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_from_after_the_copy_waits_for_its_act_and_holds_the_release() {
    use crate::domain::erasure::{Asked, Subject as Erased};
    use crate::service::operate::{OperateError, Operator};
    use crate::service::who::Who;
    use crate::store::GapKind;
    let house = House::new();
    house.started(&lot()).await;
    let (store, now) = (&house.hub.store, house.hub.clock.now());
    store.begin_restore("copia", now, now).await.unwrap();
    let (known, unknown) = (house.act("A-1").await, ActId(crate::clock::new_uuid()));
    for _ in 0..2 {
        let asked = [known, unknown].map(|act| Asked { at: now, subject: Erased::Act(act) });
        store.erase_again(SOURCE, asked.to_vec(), now).await.unwrap();
    }
    let gaps = async || -> Vec<(String, Option<bool>)> {
        let gaps = store.gaps(GapKind::Erasure, None, 10).await.unwrap();
        gaps.into_iter().map(|gap| (gap.data["riferimento"].as_str().unwrap_or_default().to_owned(), gap.recovered)).collect()
    };
    let mut found = gaps().await;
    found.sort();
    assert_eq!(found, [(String::new(), None), ("A-1".to_owned(), Some(false))], "one is not here, one is open");
    assert_eq!(store.erase_again_waiting(now).await.unwrap(), 0, "it is open");
    let operator = Operator::without_hub(store.clone(), house.hub.clock);
    let release = async |accept_gaps| operator.release_restore(true, accept_gaps, &Who::this_process(None), "prova").await;
    assert!(matches!(release(false).await, Err(OperateError::ErasuresOpen { erasures: 1 })));

    house.withdraw("A-1").await;
    assert_eq!((store.erase_again_waiting(now).await.unwrap(), store.erase_again_waiting(now).await.unwrap()), (1, 0));
    assert_eq!(store.count_gaps(GapKind::Erasure).await.unwrap(), (2, 0));
    assert_eq!(store.erasures_to_note(10).await.unwrap(), [], "it is written outside already");
    finish(&house.hub, now).await.unwrap();
    assert!(store.erased(known.0).await.unwrap().is_some_and(|erased| erased.cause == Cause::Request));
    assert!(release(false).await.is_ok());
}

/// However many of them wait for what is not here or is open, those that can be decided are.
#[tokio::test(flavor = "multi_thread")]
async fn deletions_from_after_the_copy_do_not_wait_for_each_other() {
    use crate::domain::erasure::{Asked, Subject as Erased};
    let house = House::new();
    house.started(&lot()).await;
    let (store, now) = (&house.hub.store, house.hub.clock.now());
    store.begin_restore("copia", now, now).await.unwrap();
    let asked = |subject: Erased| Asked { at: now, subject };
    // Before the others in any order.
    let nowhere = (1..1_200).map(uuid::Uuid::from_u128);
    let kind = |id: &uuid::Uuid| if id.as_u128().is_multiple_of(2) { "notifica" } else { "lotto" };
    let mut after: Vec<Asked> = nowhere.map(|id| asked(Erased::of(kind(&id), id).unwrap())).collect();
    let (first, second) = (house.act("A-1").await, house.act("A-2").await);
    after.extend([first, second].map(|act| asked(Erased::Act(act))));
    store.erase_again(SOURCE, after, now).await.unwrap();
    assert_eq!(store.erase_again_waiting(now).await.unwrap(), 0, "both are open");
    house.withdraw("A-2").await;
    assert_eq!((store.erase_again_waiting(now).await.unwrap(), store.erase_again_waiting(now).await.unwrap()), (1, 0));
    finish(&house.hub, now).await.unwrap();
    assert!(store.erased(second.0).await.unwrap().is_some() && store.erased(first.0).await.unwrap().is_none());
}
