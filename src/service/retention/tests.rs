//! Rounds of deletions on a hub whose tasks do not run.

use std::fs;
use std::io::Read;

use super::*;
use crate::batch::archive::sample::{piece, zip};
use crate::domain::ids::ActId;
use crate::flow::event::Order;
use crate::service::files::entry_of;
use crate::service::tests::{House, SOURCE};
use crate::service::{ingest, publish};
use crate::store::{BatchWork, Subject};

fn days(house: &House, days: i64) -> Timestamp {
    house.hub.clock.now() + SignedDuration::from_hours(24 * days)
}

/// Two acts of two people (invented), each with a document of its own, and one document for both.
fn lot() -> Vec<u8> {
    let head = "riferimento;ente;azione;protocollo;oggetto;tipo_destinatario;codice_fiscale;denominazione;indirizzo;cap;comune;provincia;\
                documento_file_1;documento_file_2;documento_condiviso_2\r\n";
    let row = |reference: &str, tax_id: &str, name: &str, file: &str| {
        format!(
            "{reference};01234567897;inserisci;P-{reference};Atto;PF;{tax_id};{name};VIA ROMA 1;00184;ROMA;RM;{file};informativa.pdf;SI\r\n"
        )
    };
    let csv = [
        head.to_owned(),
        row("A-1", "RSSMRA80A01H501U", "Mario Rossi", "rossi.pdf"),
        row("A-2", "BNRMHL75C06G702B", "Michele Bianconi", "bianconi.pdf"),
    ];
    let pdf = |name: &str| format!("%PDF-1.4\n{}\n%%EOF\n", name.repeat(50));
    let files = ["rossi", "bianconi", "informativa"].map(|name| piece(format!("{name}.pdf"), pdf(name)));
    zip(&[&[piece("lotto.csv", csv.concat())], &files[..]].concat())
}

impl House {
    /// Takes a lot in, starts its acts, and has no other work left.
    async fn started(&self, bytes: &[u8]) -> BatchId {
        let mut claimed = self.claimed("rossi_mario.zip", Some(bytes));
        claimed.flow_hint = Some("ordinanze".to_owned());
        ingest::ingest(&self.hub, &claimed).await.unwrap();
        assert_eq!(self.state(claimed.id).await, "PRESA_IN_CARICO", "{:?}", self.codes(claimed.id).await);
        let (store, now) = (&self.hub.store, self.hub.clock.now());
        for leased in store.lease("prova", vec![(String::new(), 0, 100)], days(self, 1), now).await.unwrap() {
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
