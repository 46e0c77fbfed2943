//! Rules that need more than one row: the same reference, protocol, notice or file in two acts of one batch.
//!
//! What was seen is kept as 70 bits of a keyed hash (six choose the table) and the number of the act, twelve bytes: a batch
//! of 200,000 acts costs some 50 bytes each, nobody can choose names that collide, and by chance two of its names do in
//! one batch out of billions.

use std::hash::{BuildHasher, RandomState};

use crate::batch::fields as f;
use crate::batch::fields::Field;
use crate::batch::problem::{Code, Finding};
use crate::domain::act::{Act, FileRef, Payment};

/// What the rows of one batch have named so far.
pub struct BatchRules {
    keys: (RandomState, RandomState),
    seen: Seen,
    /// Row of each act, in the order they came.
    rows: Vec<u32>,
    /// For each entry of the archive, the act that named it first: number from 1, and whether it was declared shared. 0: none.
    files: Vec<u32>,
}

/// The bit of a file's slot that says shared.
const SHARED: u32 = 1 << 31;

/// What kind of thing a key names.
#[derive(Clone, Copy, Hash)]
enum Kind {
    Reference,
    Protocol,
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
        BatchRules { keys: (RandomState::new(), RandomState::new()), seen: Seen::new(), rows: Vec::new(), files: Vec::new() }
    }

    /// Checks `act`, which stands at `row`, against the rows before it, and remembers it. A finding tells the earlier row in
    /// `expected` (`riga 12`). Call it after the files were resolved, for every act that could be read, refused ones included.
    pub fn check(&mut self, act: &Act, row: u64, out: &mut Vec<Finding>) {
        let number = u32::try_from(self.rows.len()).unwrap_or(SHARED - 1).min(SHARED - 2);
        self.rows.push(u32::try_from(row).unwrap_or(u32::MAX));
        if !act.reference.is_empty()
            && let Some(before) = self.first(number, Kind::Reference, &act.sender_tax_id, &act.reference)
        {
            out.push(Finding::error(Field::act(f::REFERENCE), Code::ReferenceTwice).found(&act.reference).expected(self.row(before)));
        }
        if act.action.is_bare() {
            return;
        }
        // With a reason (`forza`) one protocol may serve several acts.
        if act.force.is_none()
            && let Some(protocol) = &act.protocol
            && let Some(before) = self.first(number, Kind::Protocol, &act.sender_tax_id, protocol)
        {
            out.push(Finding::error(Field::act(f::PROTOCOL), Code::ProtocolTwice).found(protocol).expected(self.row(before)));
        }
        let mut last = (usize::MAX, 0);
        for (recipient, creditor, code) in act.notices() {
            last = if last.0 == recipient { (recipient, last.1 + 1) } else { (recipient, 0) };
            if code.is_empty() {
                continue;
            }
            // Twice in one act is told by the rules of the act.
            if let Some(before) = self.first(number, Kind::Notice, creditor, code).filter(|before| *before != number) {
                let finding = Finding::error(Field::of_nth(f::NOTICE, recipient, last.1), Code::NoticeTwice);
                out.push(finding.found(code).expected(self.row(before)));
            }
        }
        for (index, document) in act.documents.iter().enumerate() {
            self.file(number, Field::nth(f::DOCUMENT, index), document, out);
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
                    self.file(number, field, file, out);
                }
            }
        }
    }

    /// A file serves one act, unless every act that names it says that it is shared.
    fn file(&mut self, number: u32, field: Field, file: &FileRef, out: &mut Vec<Finding>) {
        let Some(stored) = &file.stored else { return };
        let entry = stored.entry as usize;
        // An archive holds at most some hundred thousand entries: its reader refuses more.
        if entry >= self.files.len() {
            self.files.resize(entry + 1, 0);
        }
        let Some(slot) = self.files.get_mut(entry) else { return };
        let own = (number + 1) | if file.shared { SHARED } else { 0 };
        if *slot == 0 {
            *slot = own;
            return;
        }
        let before = (*slot & !SHARED) - 1;
        if before == number {
            // Named again by the same act: shared only if it always says so.
            *slot &= own | !SHARED;
        } else if *slot & own & SHARED == 0 {
            out.push(Finding::error(field, Code::FileShared).found(&file.file).expected(self.row(before)));
        }
    }

    /// The act that first brought this key; `None` when this one does.
    fn first(&mut self, number: u32, kind: Kind, scope: &str, name: &str) -> Option<u32> {
        let key = (kind, scope, name);
        let (a, b) = (self.keys.0.hash_one(key), self.keys.1.hash_one(key));
        self.seen.insert(a, b, number)
    }

    fn row(&self, number: u32) -> String {
        format!("riga {}", self.rows.get(number as usize).copied().unwrap_or(0))
    }
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
        act.documents[0].stored = Some(StoredFile { entry, sha256: Sha256::of(b""), size: 1 });
        act
    }

    #[test]
    fn tells_what_two_acts_share() {
        let first = numbered("A", "P1", "N1", 0, true);
        let mut other_ente = numbered("A", "P1", "N2", 1, true);
        other_ente.sender_tax_id = "00907501001".to_owned();
        let mut forced = numbered("B", "P1", "N2", 1, true);
        forced.force = Some("accertamento unico".to_owned());
        let mut cancel = numbered("B", "P1", "N1", 0, false);
        cancel.action = Action::Cancel;
        let table = [
            ("nothing", numbered("B", "P2", "N2", 1, false), vec![]),
            ("reference", numbered("A", "P2", "N2", 1, false), vec![Code::ReferenceTwice]),
            ("protocol", numbered("B", "P1", "N2", 1, false), vec![Code::ProtocolTwice]),
            ("protocol, forced", forced, vec![]),
            ("other ente", other_ente, vec![]),
            ("notice", numbered("B", "P2", "N1", 1, false), vec![Code::NoticeTwice]),
            ("file, not shared by the second", numbered("B", "P2", "N2", 0, false), vec![Code::FileShared]),
            ("file, shared by both", numbered("B", "P2", "N2", 0, true), vec![]),
            ("cancel", cancel, vec![]),
        ];
        for (name, second, want) in table {
            let mut rules = BatchRules::new();
            let mut out = Vec::new();
            rules.check(&first, 2, &mut out);
            rules.check(&second, 3, &mut out);
            assert_eq!(out.iter().map(|finding| finding.code).collect::<Vec<_>>(), want, "{name}");
            assert!(out.iter().all(|finding| finding.expected.as_deref() == Some("riga 2")), "{name}: {out:?}");
        }
        let mut rules = BatchRules::new();
        let mut out = Vec::new();
        rules.check(&numbered("A", "P1", "N1", 0, false), 2, &mut out);
        rules.check(&numbered("B", "P2", "N2", 0, true), 3, &mut out);
        assert_eq!(out.len(), 1, "not shared by the first: {out:?}");
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
