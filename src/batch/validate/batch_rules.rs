//! Rules that need more than one row: the same reference, protocol, notice, document for one person, or file in two acts of one batch.
//!
//! Who is wrong of the two nobody knows: a cell copied down in a spreadsheet gives the first act what is the second's. So both are
//! refused, the earlier too, which had been good until then ([`Earlier`]).
//!
//! What was seen is kept as 70 bits of a keyed hash (six choose the table) and the number of the act, twelve bytes: a batch
//! of 200,000 acts of one recipient costs some 75 bytes each, nobody can choose names that collide, and by chance two of its names do
//! in one batch out of billions.

use std::hash::{BuildHasher, RandomState};

use crate::batch::fields as f;
use crate::batch::fields::Field;
use crate::batch::problem::{Code, Finding};
use crate::batch::row::Place;
use crate::domain::act::{Act, FileRef, Payment};

/// What the rows of one batch have named so far.
pub struct BatchRules {
    keys: (RandomState, RandomState),
    seen: Seen,
    /// The acts, in the order they came.
    met: Vec<Met>,
    /// For each entry of the archive, who named it first.
    files: Vec<Named>,
}

/// An earlier act that has something in common with the one just checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// Of the act: its first row and its position, nothing more is remembered.
    pub place: Place,
    /// Nothing was wrong with it until now.
    pub was_good: bool,
    /// What is wrong with it, and the row of each.
    pub findings: Vec<(u64, Finding)>,
}

/// An act of the batch.
#[derive(Clone, Copy)]
struct Met {
    /// Its first.
    row: u32,
    /// Its position, with what is known of it in the highest bits.
    ordinal: u32,
}

/// Bits of [`Met::ordinal`]: it is refused; it was told what a later act has of it; its office has a reason to send it anyway.
const REFUSED: u32 = 1 << 31;
const TOLD: u32 = 1 << 30;
const FORCED: u32 = 1 << 29;

/// Who named a file first.
#[derive(Clone, Copy, Default)]
struct Named {
    /// Number of the act from 1, and whether it was declared shared. 0: nobody.
    act: u32,
    row: u32,
    /// Which field: its name, its recipient, its number.
    field: [u8; 3],
}

/// The bit of [`Named::act`] that says shared.
const SHARED: u32 = 1 << 31;

/// The fields that name files.
const FILES: [&str; 3] = [f::DOCUMENT, f::NOTICE_FILE, f::F24_FILE];

/// Acts that are told apart; a configuration takes fewer in one batch.
const MOST: u32 = 1 << 21;

/// What kind of thing a key names.
#[derive(Clone, Copy, Hash)]
enum Kind {
    Reference,
    Protocol,
    Document,
    Notice,
}

impl Default for BatchRules {
    fn default() -> Self {
        BatchRules::new()
    }
}

impl BatchRules {
    /// Nothing seen.
    pub fn new() -> BatchRules {
        BatchRules { keys: (RandomState::new(), RandomState::new()), seen: Seen::new(), met: Vec::new(), files: Vec::new() }
    }

    /// Checks `act`, which stands at `place`, against those before it, and remembers it. A finding tells the other's row in
    /// `expected` (`riga 12`). Answers the earlier acts that are refused with it, each once in a batch. Call it after the files
    /// were resolved, for every act that could be read, refused ones included.
    pub fn check(&mut self, act: &Act, place: &Place, out: &mut Vec<Finding>) -> Vec<Earlier> {
        let number = u32::try_from(self.met.len()).unwrap_or(MOST).min(MOST - 1);
        let forced = act.force.is_some();
        let ordinal = narrow(place.ordinal).min(FORCED - 1);
        self.met.push(Met { row: narrow(place.row), ordinal: ordinal | if forced { FORCED } else { 0 } });
        let mut both = Both { own: format!("riga {}", place.row), out, earlier: Vec::new() };
        if !act.reference.is_empty()
            && let Some((before, _)) = self.first(number, (0, 0), Kind::Reference, &act.sender_tax_id, &act.reference)
        {
            self.blame(&mut both, before, Code::ReferenceTwice, &act.reference, [Field::act(f::REFERENCE); 2], None);
        }
        if act.action.is_bare() {
            return self.tell(both.earlier);
        }
        // With a reason (`forza`) one protocol may serve several acts, and one document several times the same person. Who has no
        // reason may not do so after one that has.
        if let Some(protocol) = &act.protocol
            && let Some((before, _)) = self.first(number, (0, 0), Kind::Protocol, &act.sender_tax_id, protocol)
            && !forced
        {
            self.blame(&mut both, before, Code::ProtocolTwice, protocol, [Field::act(f::PROTOCOL); 2], None);
        }
        if let Some((main, stored)) = act.documents.first().and_then(|main| Some((main, main.stored?))) {
            let field = Field::nth(f::DOCUMENT, 0);
            for recipient in act.recipients.iter().filter(|recipient| !recipient.tax_id.is_empty()) {
                let key = (act.sender_tax_id.as_str(), stored.sha256.as_bytes());
                if let Some((before, _)) = self.first(number, (0, 0), Kind::Document, key, &recipient.tax_id)
                    && before != number
                    && !forced
                {
                    self.blame(&mut both, before, Code::DocumentTwice, &main.file, [field; 2], None);
                }
            }
        }
        let mut last = (usize::MAX, 0);
        for (recipient, creditor, code) in act.notices() {
            last = if last.0 == recipient { (recipient, last.1 + 1) } else { (recipient, 0) };
            if code.is_empty() {
                continue;
            }
            // Twice in one act is told by the rules of the act.
            if let Some((before, (its, item))) = self.first(number, last, Kind::Notice, creditor, code).filter(|found| found.0 != number) {
                let fields = [Field::of_nth(f::NOTICE, its, item), Field::of_nth(f::NOTICE, recipient, last.1)];
                self.blame(&mut both, before, Code::NoticeTwice, code, fields, None);
            }
        }
        for (index, document) in act.documents.iter().enumerate() {
            self.file(number, Field::nth(f::DOCUMENT, index), document, place, &mut both);
        }
        for (index, recipient) in act.recipients.iter().enumerate() {
            let (mut notices, mut f24s) = (0, 0);
            for payment in &recipient.payments {
                let (name, count) = match payment {
                    Payment::PagoPa { .. } => (f::NOTICE_FILE, &mut notices),
                    Payment::F24 { .. } => (f::F24_FILE, &mut f24s),
                };
                let field = Field::of_nth(name, index, *count);
                *count += 1;
                if let Some(file) = payment.file() {
                    self.file(number, field, file, place, &mut both);
                }
            }
        }
        self.tell(both.earlier)
    }

    /// The act last checked is refused, for whatever reason.
    pub fn refused(&mut self) {
        if let Some(met) = self.met.last_mut() {
            met.ordinal |= REFUSED;
        }
    }

    /// The rows of the act at `ordinal`, which begins at `row`, go on after those of others, at `later`: what was read of it is
    /// only a part. `None`: it was told before.
    pub fn broken(&mut self, (ordinal, row): (u64, u64), later: u64, reference: &str) -> Option<Earlier> {
        let finding = Finding::error(Field::act(f::REFERENCE), Code::RowsNotAdjacent).found(reference).expected(format!("riga {later}"));
        let findings = vec![(row, finding)];
        match self.met.binary_search_by_key(&ordinal, |met| u64::from(met.ordinal & (FORCED - 1))) {
            Ok(at) => self.tell(vec![(u32::try_from(at).ok()?, findings)]).pop(),
            // No act could be made of it.
            Err(_) => Some(Earlier { place: Place { row, ordinal, ..Place::default() }, was_good: false, findings }),
        }
    }

    /// What was found of each earlier act, once.
    fn tell(&mut self, found: Vec<(u32, Vec<(u64, Finding)>)>) -> Vec<Earlier> {
        let mut told = Vec::new();
        for (number, findings) in found {
            let Some(met) = self.met.get_mut(number as usize).filter(|met| met.ordinal & TOLD == 0) else { continue };
            let place = Place { row: met.row.into(), ordinal: (met.ordinal & (FORCED - 1)).into(), ..Place::default() };
            told.push(Earlier { place, was_good: met.ordinal & REFUSED == 0, findings });
            met.ordinal |= REFUSED | TOLD;
        }
        told
    }

    /// A file serves one act, unless every act that names it says that it is shared.
    fn file(&mut self, number: u32, field: Field, file: &FileRef, place: &Place, both: &mut Both<'_>) {
        let Some(stored) = &file.stored else { return };
        let entry = stored.entry as usize;
        // An archive holds at most some hundred thousand entries: its reader refuses more.
        if entry >= self.files.len() {
            self.files.resize(entry + 1, Named::default());
        }
        let Some(slot) = self.files.get_mut(entry) else { return };
        let own = (number + 1) | if file.shared { SHARED } else { 0 };
        if slot.act == 0 {
            *slot = Named { act: own, row: narrow(place.row_of(field)), field: packed(field) };
            return;
        }
        let before = (slot.act & !SHARED) - 1;
        if before == number {
            // Named again by the same act: shared only if it always says so.
            slot.act &= own | !SHARED;
        } else if slot.act & own & SHARED == 0 {
            let (shared, row, its) = (slot.act & SHARED != 0, slot.row, unpacked(slot.field));
            if shared {
                // It said so: only who does not say it is wrong.
                both.out.push(Finding::error(field, Code::FileShared).found(&file.file).expected(format!("riga {row}")));
            } else {
                self.blame(both, before, Code::FileShared, &file.file, [its, field], Some(row));
            }
        }
    }

    /// Tells the act that is being checked, and keeps what the earlier one is to be told: at its own field, and row if it is known.
    fn blame(&self, both: &mut Both<'_>, before: u32, code: Code, found: &str, [its, own]: [Field; 2], row: Option<u32>) {
        let Some(met) = self.met.get(before as usize) else { return };
        let row = row.unwrap_or(met.row);
        both.out.push(Finding::error(own, code).found(found).expected(format!("riga {row}")));
        // One that its office wants to send anyway has said why: of a protocol and of a document that is enough.
        if met.ordinal & TOLD != 0 || (met.ordinal & FORCED != 0 && matches!(code, Code::ProtocolTwice | Code::DocumentTwice)) {
            return;
        }
        let finding = (u64::from(row), Finding::error(its, code).found(found).expected(&both.own));
        match both.earlier.iter_mut().find(|(number, _)| *number == before) {
            Some((_, findings)) => findings.push(finding),
            None => both.earlier.push((before, vec![finding])),
        }
    }

    /// The act that first brought this key, and where in it; `None` when this one does.
    fn first(
        &mut self,
        number: u32,
        (recipient, item): (usize, usize),
        kind: Kind,
        scope: impl std::hash::Hash + Copy,
        name: &str,
    ) -> Option<(u32, (usize, usize))> {
        let key = (kind, scope, name);
        let (a, b) = (self.keys.0.hash_one(key), self.keys.1.hash_one(key));
        // 15 recipients and 50 payments of each at most, by the rules of layouts.
        let mark = number << 10 | (recipient.min(15) as u32) << 6 | item.min(63) as u32;
        let found = self.seen.insert(a, b, mark)?;
        Some((found >> 10, ((found >> 6 & 15) as usize, (found & 63) as usize)))
    }
}

/// What is found while one act is checked.
struct Both<'a> {
    /// Its row, as others are told it.
    own: String,
    out: &'a mut Vec<Finding>,
    /// By number of the earlier act: row and finding.
    earlier: Vec<(u32, Vec<(u64, Finding)>)>,
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn packed(field: Field) -> [u8; 3] {
    let small = |number: Option<usize>| number.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX);
    [small(FILES.iter().position(|name| *name == field.name)), small(field.recipient), small(field.item)]
}

fn unpacked([name, recipient, item]: [u8; 3]) -> Field {
    let large = |number: u8| (number != u8::MAX).then_some(usize::from(number));
    Field { name: FILES.get(usize::from(name)).copied().unwrap_or(f::DOCUMENT), recipient: large(recipient), item: large(item) }
}

/// Slots of 12 bytes in many small tables: one grows at a time, so growing never takes twice the whole.
struct Seen {
    shards: Vec<Shard>,
}

struct Shard {
    /// (high and low half of the hash, number + 1); number 0: free.
    slots: Vec<[u32; 3]>,
    used: usize,
}

/// Tables; a power of two.
const SHARDS: usize = 64;

impl Seen {
    fn new() -> Seen {
        // Of different sizes from the beginning, so that they do not all grow, nor are all half empty, at the same time.
        let shard = |index: usize| Shard { slots: vec![[0; 3]; 16 + index], used: 0 };
        Seen { shards: (0..SHARDS).map(shard).collect() }
    }

    /// Puts the key of two hashes, one of which chooses the table; gives back the number it came with first, if it is not new.
    fn insert(&mut self, hash: u64, table: u64, number: u32) -> Option<u32> {
        self.shards.get_mut(table as usize % SHARDS)?.insert([(hash >> 32) as u32, hash as u32, number + 1])
    }
}

impl Shard {
    fn insert(&mut self, new: [u32; 3]) -> Option<u32> {
        if self.used * 8 >= self.slots.len() * 7 {
            let wider = vec![[0; 3]; self.slots.len() * 5 / 4 + 8];
            let old = std::mem::replace(&mut self.slots, wider);
            for slot in old.into_iter().filter(|slot| slot[2] != 0) {
                self.place(slot);
            }
        }
        let before = self.place(new);
        self.used += usize::from(before.is_none());
        before
    }

    /// Linear probing from the place that the high half of the hash tells.
    fn place(&mut self, new: [u32; 3]) -> Option<u32> {
        let length = self.slots.len();
        let start = ((u64::from(new[0]) * length as u64) >> 32) as usize;
        let (tail, head) = self.slots.split_at_mut_checked(start).map_or((&mut [][..], &mut [][..]), |(head, tail)| (tail, head));
        for slot in tail.iter_mut().chain(head) {
            if slot[2] == 0 {
                *slot = new;
                return None;
            }
            if slot[..2] == new[..2] {
                return Some(slot[2] - 1);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::domain::act::Action;
    use crate::domain::act::StoredFile;
    use crate::domain::digest::Sha256;

    fn numbered(reference: &str, protocol: &str, notice: &str, entry: u32, shared: bool) -> Act {
        let mut act = samples::act();
        act.reference = reference.to_owned();
        act.protocol = Some(protocol.to_owned());
        if let Some(Payment::PagoPa { notice_code, .. }) = act.recipients[0].payments.first_mut() {
            *notice_code = notice.to_owned();
        }
        act.documents[0].shared = shared;
        act.documents[0].stored = Some(StoredFile { entry, sha256: Sha256::of(&entry.to_le_bytes()), size: 1 });
        act
    }

    fn at(row: u64) -> Place {
        Place { row, ordinal: row - 1, ..Place::default() }
    }

    /// What the second act is told, and what the first.
    fn judged(first: &Act, second: &Act) -> (Vec<Code>, Vec<Code>) {
        let mut rules = BatchRules::new();
        let mut out = Vec::new();
        assert_eq!(rules.check(first, &at(2), &mut out), []);
        let earlier = rules.check(second, &at(3), &mut out);
        assert!(out.iter().all(|finding| finding.expected.as_deref() == Some("riga 2")), "{out:?}");
        assert!(earlier.len() <= 1, "{earlier:?}");
        let told = earlier.into_iter().flat_map(|earlier| {
            assert_eq!((earlier.place.row, earlier.place.ordinal, earlier.was_good), (2, 1, true));
            earlier.findings
        });
        let told = told.map(|(row, finding)| {
            assert_eq!((row, finding.expected.as_deref()), (2, Some("riga 3")), "{finding:?}");
            finding.code
        });
        (out.iter().map(|finding| finding.code).collect(), told.collect())
    }

    fn forced(act: Act) -> Act {
        Act { force: Some("accertamento unico".to_owned()), ..act }
    }

    #[test]
    fn what_two_acts_share_refuses_both() {
        use Code as C;
        let first = numbered("A", "P1", "N1", 0, true);
        let mut other_ente = numbered("A", "P1", "N2", 1, true);
        other_ente.sender_tax_id = "00907501001".to_owned();
        let mut cancel = numbered("B", "P1", "N1", 0, false);
        cancel.action = Action::Cancel;
        // What, the second act, of what both are told, of what only the second.
        let table = [
            ("nothing", numbered("B", "P2", "N2", 1, false), vec![], vec![]),
            ("reference", numbered("A", "P2", "N2", 1, false), vec![C::ReferenceTwice], vec![]),
            ("protocol", numbered("B", "P1", "N2", 1, false), vec![C::ProtocolTwice], vec![]),
            ("protocol, forced", forced(numbered("B", "P1", "N2", 1, true)), vec![], vec![]),
            ("other ente", other_ente, vec![], vec![]),
            ("notice", numbered("B", "P2", "N1", 1, false), vec![C::NoticeTwice], vec![]),
            ("file, not shared by the second", numbered("B", "P2", "N2", 0, false), vec![C::DocumentTwice], vec![C::FileShared]),
            ("file, shared by both", forced(numbered("B", "P2", "N2", 0, true)), vec![], vec![]),
            ("document and person", numbered("B", "P2", "N2", 0, true), vec![C::DocumentTwice], vec![]),
            ("cancel", cancel, vec![], vec![]),
        ];
        for (name, second, both, second_only) in table {
            let told: Vec<Code> = both.iter().chain(&second_only).copied().collect();
            assert_eq!(judged(&first, &second), (told, both), "{name}");
        }
        let plain = numbered("A", "P1", "N1", 0, false);
        let others = |mut act: Act| {
            act.recipients[0].tax_id = "BNCLRA85D41F205X".to_owned();
            act
        };
        for (name, shared) in [("shared by nobody", false), ("not by the first", true)] {
            let got = judged(&plain, &others(numbered("B", "P2", "N2", 0, shared)));
            assert_eq!(got, (vec![C::FileShared], vec![C::FileShared]), "{name}");
        }
    }

    /// One that has a reason stands; who has none may not follow it, nor does the reason come too late for it.
    #[test]
    fn a_reason_is_its_own_act_s() {
        let (first, second) = (numbered("A", "P1", "N1", 0, true), numbered("B", "P1", "N2", 0, true));
        let twice = vec![Code::ProtocolTwice, Code::DocumentTwice];
        assert_eq!(judged(&first, &second), (twice.clone(), twice.clone()));
        assert_eq!(judged(&forced(first.clone()), &second), (twice, vec![]));
        assert_eq!(judged(&first, &forced(second)), (vec![], vec![]));
        let notice = numbered("B", "P2", "N1", 1, false);
        assert_eq!(judged(&forced(first), &notice), (vec![Code::NoticeTwice], vec![Code::NoticeTwice]), "no reason helps");
    }

    #[test]
    fn an_earlier_act_is_told_once_and_where_it_stands() {
        let mut first = numbered("A", "P1", "N1", 0, false);
        let again = first.recipients[0].payments[0].clone();
        first.recipients.push(crate::domain::act::Recipient { tax_id: "BNCLRA85D41F205X".to_owned(), ..samples::recipient() });
        if let Payment::PagoPa { notice_code, attachment, .. } = &mut first.recipients[1].payments[0] {
            *notice_code = "N2".to_owned();
            let mut file = FileRef::named("avviso.pdf");
            file.stored = Some(StoredFile { entry: 5, sha256: Sha256::of(b"avviso"), size: 1 });
            *attachment = Some(file);
        }
        let place = Place { row: 2, recipient_rows: vec![2, 4], ordinal: 1, ..Place::default() };
        let mut rules = BatchRules::new();
        let mut out = Vec::new();
        rules.check(&first, &place, &mut out);
        let mut second = numbered("B", "P2", "N2", 5, false);
        second.documents[0].stored = Some(StoredFile { entry: 5, sha256: Sha256::of(b"avviso"), size: 1 });
        let told = rules.check(&second, &at(6), &mut out);
        let fields: Vec<_> = told[0].findings.iter().map(|(row, finding)| (*row, finding.field, finding.code)).collect();
        let (notice, file) = (Field::of_nth(f::NOTICE, 1, 0), Field::of_nth(f::NOTICE_FILE, 1, 0));
        assert_eq!(fields, [(2, notice, Code::NoticeTwice), (4, file, Code::FileShared)]);
        second.recipients[0].payments = vec![again];
        assert_eq!(rules.check(&second, &at(7), &mut out).len(), 1, "the second act, for its reference; the first knows");
        rules.refused();
        let earlier = rules.broken((6, 7), 9, "B").unwrap();
        assert_eq!((earlier.was_good, earlier.place.ordinal), (false, 6));
        assert_eq!(rules.broken((6, 7), 10, "B"), None, "told before");
        assert!(!rules.broken((4, 4), 10, "C").unwrap().was_good, "nothing was read of it");
    }

    #[test]
    fn remembers_many_in_little_memory() {
        let mut seen = Seen::new();
        let mix = |number: u64| (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for number in 0..100_000u32 {
            let hash = mix(number.into()).rotate_left(17);
            assert_eq!(seen.insert(hash, hash >> 7, number), None, "{number}");
        }
        for number in 0..100_000u32 {
            let hash = mix(number.into()).rotate_left(17);
            assert_eq!(seen.insert(hash, hash >> 7, 7), Some(number), "{number}");
        }
        // At the end and all the way there: never much more than what is used.
        let bytes = |seen: &Seen| seen.shards.iter().map(|shard| shard.slots.capacity() * 12).sum::<usize>();
        assert!(bytes(&seen) < 100_000 * 16, "{}", bytes(&seen));
        let mut seen = Seen::new();
        for number in 0..100_000u32 {
            let hash = mix(number.into()).rotate_left(17);
            seen.insert(hash, hash >> 7, number);
            assert!(bytes(&seen) < (number as usize + 5_000) * 16, "{number}: {}", bytes(&seen));
        }
    }
}
