//! What is dropped in the course of a run, and what must come of it.

use std::collections::BTreeMap;

use crate::house::{ANAGRAFE, House, POLIZIA};
use crate::lot::{Act, DELIVERED, Lot, REFUSED, SEEN, Story, UNREACHABLE, by_address, by_pec};

/// What must have become of an act in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Once on SEND, complete.
    Notified,
    RefusedBySend,
    /// Never on SEND, given back in `scarti/`.
    RefusedByMesso,
    Cancelled,
    /// Cancelled, and sent anew with other content.
    Replaced,
}

/// Everything dropped so far.
#[derive(Default)]
pub struct Tale {
    pub acts: BTreeMap<String, Expected>,
    /// Name of the drop, state of its receipt.
    pub drops: BTreeMap<String, &'static str>,
    notices: u64,
    small: usize,
}

/// Stories of the small drops, in turn.
const STORIES: [Story; 6] =
    [SEEN, DELIVERED, by_pec("ufficio@pec.it"), by_address("Via @VISIONE 1"), UNREACHABLE, by_address("Via @OK-Giacenza_AR 1")];

impl Tale {
    fn drop_lot(&mut self, house: &House, source: (&str, &str), folder: &str, name: &str, acts: Vec<(Act, Expected)>, state: &'static str) {
        let (acts, expected): (Vec<Act>, Vec<Expected>) = acts.into_iter().unzip();
        for (act, expected) in acts.iter().zip(expected) {
            self.acts.insert(act.reference.clone(), expected);
        }
        let file = format!("{name}.zip");
        self.drops.insert(file.clone(), state);
        house.drop_file(source.0, &format!("{folder}{file}"), &Lot::of(source.1, acts).zip());
    }

    fn notice(&mut self) -> Option<u64> {
        self.notices += 1;
        Some(self.notices)
    }

    /// The batches that are there before the hub starts: long stories first, more acts than the guard lets go at once.
    pub fn begin(&mut self, house: &House) {
        let stories =
            [DELIVERED, by_pec("prova@fail.it"), UNREACHABLE, by_address("Via @FAIL-Discovery_AR 1"), SEEN, by_address("Via @REWORK 1")];
        let mut many: Vec<_> = (1..=23).map(|n| (Act::new(format!("AN-{n:02}"), stories[n % stories.len()]), Expected::Notified)).collect();
        many[4].0.stories.push(UNREACHABLE);
        many[7].0.stories.push(SEEN);
        self.drop_lot(house, ANAGRAFE, "", "anagrafe-grande", many, "PRESA_IN_CARICO");

        let mut cds = Vec::new();
        for (n, story) in [DELIVERED, SEEN, by_address("Via @FAIL_890 1"), SEEN, DELIVERED].into_iter().enumerate() {
            let mut act = Act::new(format!("CDS-{}", n + 1), story);
            act.notice = self.notice();
            cds.push((act, Expected::Notified));
        }
        cds[0].0.stories.push(by_address("Via Appia 2"));
        let mut refused = Act::new("CDS-RIFIUTATO", REFUSED);
        refused.notice = self.notice();
        cds.push((refused, Expected::RefusedBySend));
        self.drop_lot(house, POLIZIA, "cds/", "verbali", cds, "PRESA_IN_CARICO");

        let orders: Vec<_> = ["ORD-ANNULLATO", "ORD-SOSTITUITO", "ORD-PUNTO"]
            .map(|reference| (Act::new(reference, by_pec("prova@fail.it")), Expected::Notified))
            .into();
        self.drop_lot(house, POLIZIA, "", "ordinanze", orders, "PRESA_IN_CARICO");
        self.at_once(house);
    }

    /// An act and, at once, the order to take it back.
    fn at_once(&mut self, house: &House) {
        let act = Act::new("ORD-SUBITO", DELIVERED);
        self.drop_lot(house, POLIZIA, "", "a-subito", vec![(act, Expected::Cancelled)], "PRESA_IN_CARICO");
        self.cancel(house, "ORD-SUBITO");
    }

    /// Names of the drops whose acts are ordered about later.
    pub const ORDERED: &str = "ordinanze.zip";

    /// The same bytes as the ordinanze again; `annulla` of one act, `sostituisci` of another.
    pub fn orders(&mut self, house: &House) {
        let again: Vec<Act> = ["ORD-ANNULLATO", "ORD-SOSTITUITO", "ORD-PUNTO"].map(|r| Act::new(r, by_pec("prova@fail.it"))).into();
        self.drops.insert("ordinanze-ancora.zip".to_owned(), "DUPLICATO");
        house.drop_file(POLIZIA.0, "ordinanze-ancora.zip", &Lot::of(POLIZIA.1, again).zip());
        self.cancel(house, "ORD-ANNULLATO");
        let mut anew = Act::new("ORD-SOSTITUITO", SEEN);
        (anew.action, anew.version) = ("sostituisci", 2);
        self.drop_lot(house, POLIZIA, "", "sostituzione", vec![(anew, Expected::Replaced)], "PRESA_IN_CARICO");
    }

    /// An `annulla`.
    pub fn cancel(&mut self, house: &House, reference: &str) {
        let order = Act::order(reference, "annulla");
        self.drop_lot(
            house,
            POLIZIA,
            "",
            &format!("annulla-{}", reference.to_lowercase()),
            vec![(order, Expected::Cancelled)],
            "PRESA_IN_CARICO",
        );
    }

    /// One act, whatever it takes to reach `point`.
    pub fn small(&mut self, house: &House, point: &str) {
        self.small += 1;
        let number = self.small;
        let story = STORIES[number % STORIES.len()];
        let name = format!("punto-{number:02}");
        let mut acts = vec![(Act::new(format!("P-{number:02}"), story), Expected::Notified)];
        match point {
            // Half a file: told of, left where it is.
            _ if point.starts_with("incomplete.") => {
                let half = format!("a-meta-{number:02}.zip");
                let bytes = Lot::of(POLIZIA.1, vec![acts.remove(0).0]).zip();
                house.drop_file(POLIZIA.0, &half, &bytes[..bytes.len() / 2]);
                self.drops.insert(half, "SCARTATO");
                return;
            }
            "cancel.answered" => return self.cancel(house, "ORD-PUNTO"),
            "price.answered" => {
                (acts[0].0.stories, acts[0].0.notice) = (vec![SEEN], self.notice());
                return self.drop_lot(house, POLIZIA, "cds/", &name, acts, "PRESA_IN_CARICO");
            }
            // Two chunks, the second without one good row.
            "staging.chunk" => {
                let mut lot = Lot::of(ANAGRAFE.1, vec![acts.remove(0).0]);
                lot.acts.extend((0..600).map(|n| Act::order(&format!("IGNOTO-{number}-{n}"), "annulla")));
                self.acts.insert(lot.acts[0].reference.clone(), Expected::Notified);
                self.drops.insert(format!("{name}.zip"), "PARZIALE");
                return house.drop_file(ANAGRAFE.0, &format!("{name}.zip"), &lot.zip());
            }
            _ => {}
        }
        let source = if number.is_multiple_of(2) { POLIZIA } else { ANAGRAFE };
        if point.starts_with("reject.") {
            let mut bad = Act::new(format!("P-{number:02}-SCARTO"), DELIVERED);
            bad.wrong_tax_id = true;
            acts.push((bad, Expected::RefusedByMesso));
            return self.drop_lot(house, source, "", &name, acts, "PARZIALE");
        }
        self.drop_lot(house, source, "", &name, acts, "PRESA_IN_CARICO");
    }
}
