//! What lies in the folders of a gestionale after a loss, read into a store that does not know it.

use super::*;
use crate::batch::archive::sample::{piece, zip};
use crate::domain::ids::ActId;
use crate::service::ingest;
use crate::service::tests::{House, SOURCE};
use crate::store::{BatchWork, Subject};

const HEAD: &str = "riferimento;ente;azione;protocollo;oggetto;tipo_destinatario;codice_fiscale;denominazione;indirizzo;cap;comune;provincia;documento_file_1\r\n";

struct After(House);

impl After {
    /// A house with two acts of invented people.
    async fn new() -> After {
        let house = House::new();
        let row = |reference: &str| {
            format!(
                "{reference};01234567897;inserisci;P-{reference};Atto;PF;RSSMRA80A01H501U;Mario Rossi;VIA ROMA 1;00184;ROMA;RM;{reference}.pdf\r\n"
            )
        };
        let pdf = |reference: &str| piece(format!("{reference}.pdf"), format!("%PDF-1.4\n{reference}\n%%EOF\n"));
        let csv = format!("{HEAD}{}{}", row("A-1"), row("A-2"));
        let lot = zip(&[piece("lotto.csv", csv), pdf("A-1"), pdf("A-2")]);
        let mut claimed = house.claimed("lotto.zip", Some(&lot));
        claimed.flow_hint = Some("ordinanze".to_owned());
        ingest::ingest(&house.hub, &claimed).await.unwrap();
        assert_eq!(house.state(claimed.id).await, "PRESA_IN_CARICO", "{:?}", house.codes(claimed.id).await);
        let (store, now) = (&house.hub.store, house.hub.clock.now());
        let hour = now + SignedDuration::from_hours(1);
        for leased in store.lease("prova", vec![(String::new(), 0, 100)], hour, now).await.unwrap() {
            if let Subject::Lotto { batch, work: BatchWork::Start } = leased.subject {
                while store.start_acts(batch, leased.job, now).await.unwrap() {}
            }
        }
        After(house)
    }

    fn write(&self, folder: &str, name: &str, text: &str) {
        let folder = self.0.dir.path().join("casa").join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    }

    async fn read(&self) -> Result<(), RestoreError> {
        let (settings, now) = (self.0.hub.settings(), self.0.hub.clock.now());
        read(&self.0.hub.store, settings.source(SOURCE).unwrap(), now, now).await
    }

    async fn last_line(&self) -> u64 {
        self.0.hub.store.known_numbers(SOURCE, "ESITO").await.unwrap().1
    }

    async fn act(&self, reference: &str) -> ActId {
        self.0.hub.store.find_acts(reference).await.unwrap()[0].id
    }
}

fn outcome(first: u64, last: u64, acts: &[(&str, u64, &str)]) -> String {
    let act = |(reference, line, event): &(&str, u64, &str)| {
        format!(
            "<esito_atto><riga>{line}</riga><ente>01234567897</ente><riferimento>{reference}</riferimento><invio>1</invio>\
             <evento>{event}</evento><scritto_utc>2026-11-23T10:00:00Z</scritto_utc></esito_atto>"
        )
    };
    let acts: String = acts.iter().map(act).collect();
    format!("<esiti><prima_riga>{first}</prima_riga><ultima_riga>{last}</ultima_riga>{acts}</esiti>")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withdrawn_again_is_told_under_a_new_number() {
    let after = After::new().await;
    let store = &after.0.hub.store;
    let known = after.last_line().await;
    assert!(known < 10, "{known}");
    after.write("esiti", "esito_polizia_000001.xml", &outcome(1, 57, &[("A-1", 57, "RITIRATO")]));
    after.read().await.unwrap();
    let told = store.lines(SOURCE, 1, 1_000, 100).await.unwrap();
    let of_act: Vec<u64> = told.iter().filter(|told| told.line.reference == "A-1").map(|told| told.line.line).collect();
    assert_eq!(store.find_acts("A-1").await.unwrap()[0].state, "RITIRATO");
    assert!(of_act.last().is_some_and(|line| *line > 57), "57 was given before the loss: {of_act:?}");
    assert!(told.iter().all(|told| told.line.line <= known || told.line.line > 57), "no number between was given");
    assert_eq!(store.find_acts("A-2").await.unwrap()[0].id, after.act("A-2").await, "the other is as it was");
    assert_ne!(store.find_acts("A-2").await.unwrap()[0].state, "RITIRATO");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_skipped_when_nothing_says_how_many_the_last_file_had() {
    let mark = |line: u64| format!("ESITO 2 {line} -\n");
    let table: [(&str, Option<String>, bool, bool); 4] = [
        ("the first as XML, of the last the CSV alone", None, false, true),
        ("the mark does not know its lines", Some(mark(0)), false, true),
        ("the mark knows them", Some(mark(90)), false, false),
        ("both as XML", None, true, false),
    ];
    for (what, mark, xml, leaps) in table {
        let after = After::new().await;
        after.write("esiti", "esito_polizia_000001.xml", &outcome(1, 57, &[]));
        after.write("esiti", "esito_polizia_000002.csv", "riga;ente\r\n");
        if xml {
            after.write("esiti", "esito_polizia_000002.xml", &outcome(58, 90, &[]));
        }
        if let Some(mark) = mark {
            after.write(".messo", "numeri", &mark);
        }
        after.read().await.unwrap();
        let last = after.last_line().await;
        assert_eq!((last >= 57 + LEAP, last >= 90), (leaps, true), "{what}: {last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_of_exports_goes_on_where_it_was_and_other_files_set_no_number() {
    for both_taken in [false, true] {
        exports_after_a_loss(both_taken).await;
    }
}

async fn exports_after_a_loss(both_taken: bool) {
    let after = After::new().await;
    let store = &after.0.hub.store;
    after.write("rendicontazioni", "rendicontazione_polizia_000003.csv", "tipo");
    after.write("rendicontazioni", "rendicontazione_polizia_000003.xml", "<r/>");
    if !both_taken {
        after.write("rendicontazioni", "rendicontazione_polizia_000004_aperti.csv", "aperti");
    }
    for other in ["riepilogo_202611.xlsx", "rendicontazione_polizia_202611.xlsx", "rendicontazione_tributi_000009.csv", "copia_000777.csv"]
    {
        after.write("rendicontazioni", other, "altro");
    }
    // The XML of the last was taken away, its CSV perhaps; its mark remembers them.
    let xml = Sha256::of(b"<aperti/>");
    after.write(".messo", "numeri", &format!("RENDICONTAZIONE 4 0 {} {}\n", xml.to_hex(), Sha256::of(b"aperti").to_hex()));
    after.read().await.unwrap();
    assert_eq!(store.number_floor(SOURCE, "rendicontazioni").await.unwrap(), 4);
    let files = store.export_files(SOURCE, 3).await.unwrap();
    let told: Vec<(Option<u64>, Sha256)> = files.iter().map(|file| (file.number, file.sha256)).collect();
    for wanted in [(3, Sha256::of(b"tipo")), (3, Sha256::of(b"<r/>")), (4, Sha256::of(b"aperti")), (4, xml)] {
        assert!(told.contains(&(Some(wanted.0), wanted.1)), "{wanted:?} in {files:?}");
    }
    assert_eq!(files.len(), 4, "{files:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_read_is_not_an_empty_one() {
    let after = After::new().await;
    fs::write(after.0.dir.path().join("casa/rendicontazioni"), "no folder").unwrap();
    assert_eq!(after.read().await.map_err(|error| error.code), Err("RIPRISTINO_NON_RIUSCITO"));
}
