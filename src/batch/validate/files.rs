//! The files that acts name: found in the archive, compared with the digest of the row, looked at as SEND and its printer will.
//!
//! One table per drop, built once; names take the space they need and a fixed 64 bytes each, so that 200,000 files fit in
//! some tens of MiB.

use std::collections::HashSet;

use crate::batch::archive::safe_name;
use crate::batch::fields as f;
use crate::batch::fields::Field;
use crate::batch::files::FileFacts;
use crate::batch::problem::{Code, Finding};
use crate::domain::act::{Act, FileRef, Payment, StoredFile};
use crate::domain::digest::Sha256;
use crate::domain::letters;

use super::Rules;
use super::f24::{self, F24Error};
use super::request::LOOKED_AT;

/// The largest PDF that SEND takes, bytes (`reference send.md` 2).
const MAX_PDF: u64 = 200 << 20;

/// Reads a whole entry of the archive of at most [`f24::MAX_BYTES`], which had that digest when it was looked into; `None` when
/// it cannot.
pub type ReadEntry<'r> = dyn FnMut(u32, Sha256) -> Option<Vec<u8>> + 'r;

/// Every file of a drop, and which of them an act has named.
pub struct FileTable {
    /// All names, one after the other.
    names: String,
    /// In the order of their names.
    files: Vec<Slot>,
    /// Bytes of the one folder that holds everything (`lotto/`), if there is one.
    top: usize,
    /// (hash of a name without letter case, place in `files`), sorted; made when an exact name fails for the first time.
    folded: Option<Vec<(u64, u32)>>,
    /// One bit per place in `files`.
    referenced: Vec<u64>,
    /// Places in `files` by digest, then by name; made when a digest does not match for the first time.
    by_digest: Option<Vec<u32>>,
    /// Hashes of the names that find no file, of acts which are refused for it: more than there are files are not counted.
    missing: HashSet<u64>,
    /// Digests compared by [`FileTable::carrier_of`].
    #[cfg(test)]
    compared: std::cell::Cell<usize>,
    /// Entry of the batch file.
    batch_file: Option<u32>,
    /// The drop is a bare batch file: there is no archive to hold documents.
    bare: bool,
}

/// What is kept of a [`FileFacts`].
struct Slot {
    start: usize,
    length: u32,
    entry: u32,
    size: u64,
    sha256: Sha256,
    pdf: Pdf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pdf {
    Not,
    Encrypted,
    /// Pages, where they were counted.
    Plain(Option<u32>),
}

/// Why a name finds no file.
enum Absent {
    Missing,
    /// Several files answer to it.
    Ambiguous,
}

impl FileTable {
    /// The table of an archive.
    pub fn new(facts: Vec<FileFacts>) -> FileTable {
        let mut names = String::with_capacity(facts.iter().map(|fact| fact.name.len()).sum());
        let mut files = Vec::with_capacity(facts.len());
        for fact in facts {
            let start = names.len();
            names.push_str(&fact.name);
            let pdf = match fact.pdf {
                None => Pdf::Not,
                Some(pdf) if pdf.encrypted => Pdf::Encrypted,
                Some(pdf) => Pdf::Plain(pdf.pages),
            };
            let length = u32::try_from(fact.name.len()).unwrap_or(u32::MAX);
            files.push(Slot { start, length, entry: fact.entry, size: fact.size, sha256: fact.sha256, pdf });
        }
        files.sort_unstable_by(|a, b| name_in(&names, a).cmp(name_in(&names, b)));
        let folder = |slot: Option<&Slot>| slot.and_then(|slot| name_in(&names, slot).split_once('/')).map(|(folder, _)| folder);
        let top = match (folder(files.first()), folder(files.last())) {
            // Sorted by name: what the first and the last begin with, all begin with.
            (Some(first), Some(last)) if first == last => first.len() + 1,
            _ => 0,
        };
        let referenced = vec![0; files.len().div_ceil(64)];
        FileTable {
            names,
            files,
            top,
            folded: None,
            referenced,
            by_digest: None,
            missing: HashSet::new(),
            #[cfg(test)]
            compared: std::cell::Cell::default(),
            batch_file: None,
            bare: false,
        }
    }

    /// The table of a bare batch file: an act that names a file is refused with a sentence of its own.
    pub fn bare() -> FileTable {
        FileTable { bare: true, ..FileTable::new(Vec::new()) }
    }

    /// Says which entry is the batch file: no act may name it, and nobody misses it among the unreferenced.
    pub fn with_batch_file(mut self, entry: u32) -> FileTable {
        self.batch_file = Some(entry);
        self
    }

    /// Finds every file of `act`, fills in where it is stored, and checks it. An act to be cancelled only marks what its row
    /// repeats as named.
    pub fn resolve(&mut self, act: &mut Act, rules: &Rules<'_>, read: &mut ReadEntry<'_>, out: &mut Vec<Finding>) {
        if act.action.is_bare() {
            for file in act.files_mut() {
                let _ = self.find(&file.file);
            }
            return;
        }
        let mut documents = Vec::new();
        for (index, document) in act.documents.iter_mut().enumerate() {
            let Some(place) = self.store(Field::nth(f::DOCUMENT, index), Field::nth(f::DOCUMENT_SHA, index), document, out) else {
                continue;
            };
            if index < LOOKED_AT && documents.contains(&place) {
                out.push(Finding::error(Field::nth(f::DOCUMENT, index), Code::FileTwice).found(&document.file));
            } else if index < LOOKED_AT {
                documents.push(place);
            }
            self.check_pdf(Field::nth(f::DOCUMENT, index), place, document, out);
        }
        let mut attached = None;
        for (recipient, own) in act.recipients.iter_mut().enumerate() {
            let mut places = Vec::new();
            let (mut notices, mut f24s) = (0, 0);
            for payment in &mut own.payments {
                let (name, sha, count) = match payment {
                    Payment::PagoPa { .. } => (f::NOTICE_FILE, f::NOTICE_SHA, &mut notices),
                    Payment::F24 { .. } => (f::F24_FILE, f::F24_SHA, &mut f24s),
                };
                let (field, sha) = (Field::of_nth(name, recipient, *count), Field::of_nth(sha, recipient, *count));
                *count += 1;
                let (file, apply_cost) = match payment {
                    Payment::PagoPa { attachment: None, .. } => continue,
                    Payment::PagoPa { attachment: Some(file), .. } => (file, None),
                    Payment::F24 { metadata, apply_cost, .. } => (metadata, Some(*apply_cost)),
                };
                attached = attached.or(Some(field));
                let Some(place) = self.store(field, sha, file, out) else { continue };
                // The same file once per recipient: for SEND documents and attachments of one are a single list.
                if documents.contains(&place) || places.contains(&place) {
                    out.push(Finding::error(field, Code::FileTwice).found(&file.file));
                } else if places.len() < LOOKED_AT {
                    places.push(place);
                }
                match apply_cost {
                    None => self.check_pdf(field, place, file, out),
                    Some(apply_cost) => self.check_f24(field, place, apply_cost, read, out),
                }
            }
        }
        if rules.checks().light_mail && !rules.sender.is_some_and(|sender| sender.heavy_mail) {
            self.light_mail(&documents, attached, out);
        }
    }

    /// Files that no act has named: (entry, name), in the order of their names.
    pub fn unreferenced(&self) -> impl Iterator<Item = (u32, &str)> + '_ {
        let free = |place: usize| self.referenced.get(place / 64).is_none_or(|bits| bits >> (place % 64) & 1 == 0);
        let files = self.files.iter().enumerate().filter(move |(place, slot)| free(*place) && Some(slot.entry) != self.batch_file);
        files.map(|(_, slot)| (slot.entry, name_in(&self.names, slot)))
    }

    /// How many names of acts that are refused find no file.
    pub fn missing(&self) -> usize {
        self.missing.len()
    }

    fn misses(&mut self, name: &str) {
        if self.missing.len() < self.files.len() && !name.trim().is_empty() {
            self.missing.insert(hash_without_case(name.trim()));
        }
    }

    /// The first file with that digest: who carries what a row's digest promised. `None`: nobody, or a file in `own`, the folder of
    /// the row (with its final `/`).
    pub fn carrier_of(&mut self, sha256: Sha256, own: Option<&str>) -> Option<&str> {
        let (files, names, by_digest) = (&self.files, &self.names, &mut self.by_digest);
        let sorted = by_digest.get_or_insert_with(|| {
            let mut places: Vec<u32> = (0..).zip(files.iter()).map(|(place, _)| place).collect();
            places.sort_unstable_by_key(|place| (files.get(*place as usize).map(|slot| slot.sha256), *place));
            places
        });
        let slot = |place: &u32| {
            #[cfg(test)]
            self.compared.set(self.compared.get() + 1);
            files.get(*place as usize)
        };
        // By name among those of one digest, as the files are.
        let from = |name: &str| {
            sorted.partition_point(|place| slot(place).is_some_and(|slot| (slot.sha256, name_in(names, slot)) < (sha256, name)))
        };
        let carrier = |from: usize| {
            let slot = sorted.get(from).and_then(slot).filter(|slot| slot.sha256 == sha256)?;
            Some(name_in(names, slot))
        };
        let of_the_row = own.is_some_and(|folder| carrier(from(folder)).is_some_and(|name| name.starts_with(folder)));
        if of_the_row { None } else { carrier(from("")) }
    }

    /// Marks the file that `name` means as named, and gives the name it has. `None`: there is none, or it is the batch file.
    pub fn claim(&mut self, name: &str) -> Option<&str> {
        let Ok(place) = self.find(name) else {
            self.misses(name);
            return None;
        };
        let slot = self.files.get(place).filter(|slot| Some(slot.entry) != self.batch_file)?;
        Some(name_in(&self.names, slot))
    }

    /// Marks every file of a folder (with its final `/`) as named, and gives their names.
    pub fn claim_folder(&mut self, folder: &str) -> Vec<String> {
        let start = self.files.partition_point(|slot| name_in(&self.names, slot) < folder);
        let mut names = Vec::new();
        for (place, slot) in self.files.iter().enumerate().skip(start) {
            let name = name_in(&self.names, slot);
            if !name.starts_with(folder) {
                break;
            }
            if let Some(bits) = self.referenced.get_mut(place / 64) {
                *bits |= 1 << (place % 64);
            }
            names.push(name.to_owned());
        }
        names
    }

    /// Finds a file and fills in where it is stored.
    fn store(&mut self, field: Field, sha_field: Field, file: &mut FileRef, out: &mut Vec<Finding>) -> Option<usize> {
        if file.file.is_empty() {
            return None; // told by the rules of the act
        }
        if self.bare {
            out.push(Finding::error(field, Code::DocumentsNotAllowed).found(&file.file));
            return None;
        }
        let place = match self.find(&file.file) {
            Ok(place) => place,
            Err(absent) => {
                self.misses(&file.file);
                let finding = Finding::error(field, Code::FileMissing).found(&file.file);
                out.push(match absent {
                    Absent::Missing => finding,
                    Absent::Ambiguous => finding.expected("atteso: un solo file con questo nome"),
                });
                return None;
            }
        };
        let slot = self.files.get(place)?;
        if Some(slot.entry) == self.batch_file {
            out.push(Finding::error(field, Code::FileIsBatch).found(&file.file));
            return None;
        }
        if let Some(given) = file.given_sha256.filter(|given| *given != slot.sha256) {
            out.push(Finding::error(sha_field, Code::FileDigest).found(given.to_hex()).expected(slot.sha256.to_hex()));
        }
        if slot.size == 0 {
            out.push(Finding::error(field, Code::FileEmpty).found(&file.file));
        }
        file.stored = Some(StoredFile { entry: slot.entry, sha256: slot.sha256, size: slot.size });
        Some(place)
    }

    fn check_pdf(&self, field: Field, place: usize, file: &FileRef, out: &mut Vec<Finding>) {
        let Some(slot) = self.files.get(place) else { return };
        match slot.pdf {
            Pdf::Not if slot.size > 0 => out.push(Finding::error(field, Code::PdfInvalid).found(&file.file)),
            // SEND takes it and the printer fails (CON996, CON998): never sent.
            Pdf::Encrypted => out.push(Finding::error(field, Code::PdfEncrypted).found(&file.file)),
            _ => {}
        }
        if slot.size > MAX_PDF {
            out.push(Finding::error(field, Code::PdfTooBig).found(&file.file).expected("200 MB"));
        }
    }

    fn check_f24(&self, field: Field, place: usize, apply_cost: bool, read: &mut ReadEntry<'_>, out: &mut Vec<Finding>) {
        let Some(slot) = self.files.get(place).filter(|slot| slot.size > 0) else { return };
        let finding = Finding::error(field, Code::F24Invalid).found(name_in(&self.names, slot));
        if slot.size > f24::MAX_BYTES {
            out.push(finding.expected("al massimo 1 MiB"));
            return;
        }
        let checked = read(slot.entry, slot.sha256).map_or(Err(F24Error::NotJson), |bytes| f24::check(&bytes, apply_cost));
        out.push(match checked {
            Ok(()) => return,
            Err(F24Error::NotJson) => finding.expected("JSON"),
            Err(F24Error::Schema { at }) => finding.expected(format!("schema F24 di SEND, in `{at}`")),
            Err(F24Error::ApplyCost { rows }) => finding.expected(format!("una sola riga con applyCost (trovate {rows})")),
        });
    }

    /// What a sender not enabled for mail over 20 grams may send: no payment attachment and no F24; one document of at most
    /// 4 pages, or two of at most 2 (`reference send.md` 2).
    fn light_mail(&self, documents: &[usize], attached: Option<Field>, out: &mut Vec<Finding>) {
        if let Some(field) = attached {
            out.push(Finding::error(field, Code::PdfTooManyPages).expected("nessun allegato di pagamento"));
        }
        let limit = match documents.len() {
            0 => return,
            1 => 4,
            2 => 2,
            count => {
                let finding = Finding::error(Field::nth(f::DOCUMENT, 2), Code::PdfTooManyPages);
                out.push(finding.found(format!("{count} documenti")).expected("2 documenti"));
                return;
            }
        };
        for (index, place) in documents.iter().enumerate() {
            let field = Field::nth(f::DOCUMENT, index);
            match self.files.get(*place).map(|slot| slot.pdf) {
                Some(Pdf::Plain(Some(pages))) if pages > limit => {
                    let finding = Finding::error(field, Code::PdfTooManyPages);
                    out.push(finding.found(format!("{pages} pagine")).expected(format!("{limit} pagine")));
                }
                Some(Pdf::Plain(None)) => {
                    let finding = Finding::warning(field, Code::PdfTooManyPages);
                    out.push(finding.found("pagine non contate").expected(format!("{limit} pagine")));
                }
                _ => {}
            }
        }
    }

    /// The place of the file that `name` means, marked as named: the exact name, with or without the folder on top; else the
    /// one name that differs only in letter case or in how accents are written.
    fn find(&mut self, name: &str) -> Result<usize, Absent> {
        let place = self.look_up(name)?;
        if let Some(bits) = self.referenced.get_mut(place / 64) {
            *bits |= 1 << (place % 64);
        }
        Ok(place)
    }

    fn look_up(&mut self, name: &str) -> Result<usize, Absent> {
        let clean;
        let mut name = name.trim();
        if name.contains('\\') {
            clean = name.replace('\\', "/");
            name = &clean;
        }
        name = name.strip_prefix("./").unwrap_or(name);
        let exact = |skip: usize| self.files.binary_search_by(|slot| name_in(&self.names, slot).get(skip..).unwrap_or_default().cmp(name));
        if let Ok(place) = exact(0) {
            return Ok(place);
        }
        if self.top > 0
            && let Ok(place) = exact(self.top)
        {
            return Ok(place);
        }
        let top = self.top;
        let folded = self.folded.get_or_insert_with(|| {
            let hash = |slot: &Slot| hash_without_case(name_in(&self.names, slot).get(top..).unwrap_or_default());
            let mut folded: Vec<(u64, u32)> = self.files.iter().zip(0..).map(|(slot, place)| (hash(slot), place)).collect();
            folded.sort_unstable();
            folded
        });
        let inner = name.split_once('/').filter(|_| top > 0).map(|(_, inner)| inner);
        for name in [Some(name), inner].into_iter().flatten() {
            let hash = hash_without_case(name);
            let start = folded.partition_point(|(own, _)| *own < hash);
            let hits = folded.get(start..).unwrap_or_default().iter().take_while(|(own, _)| *own == hash);
            let mut same = hits.map(|(_, place)| *place as usize).filter(|place| {
                self.files
                    .get(*place)
                    .is_some_and(|slot| same_without_case(name_in(&self.names, slot).get(top..).unwrap_or_default(), name))
            });
            match (same.next(), same.next()) {
                (Some(place), None) => return Ok(place),
                (Some(_), Some(_)) => return Err(Absent::Ambiguous),
                (None, _) => {}
            }
        }
        Err(Absent::Missing)
    }
}

fn name_in<'n>(names: &'n str, slot: &Slot) -> &'n str {
    names.get(slot.start..slot.start + slot.length as usize).unwrap_or_default()
}

fn hash_without_case(name: &str) -> u64 {
    let name = safe_name(name);
    let chars = letters::compose(&name);
    let lower = chars.chars().flat_map(char::to_lowercase);
    lower.fold(0xcbf2_9ce4_8422_2325, |hash, c| (hash ^ u64::from(u32::from(c))).wrapping_mul(0x100_0000_01b3))
}

fn same_without_case(a: &str, b: &str) -> bool {
    let (a, b) = (safe_name(a), safe_name(b));
    let (a, b) = (letters::compose(&a), letters::compose(&b));
    a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use super::super::{SenderFacts, samples};
    use super::*;
    use crate::batch::files::PdfFacts;
    use crate::domain::act::Action;

    fn pdf(pages: Option<u32>) -> Option<PdfFacts> {
        Some(PdfFacts { encrypted: false, pages })
    }

    fn fact(entry: u32, name: &str, pdf: Option<PdfFacts>) -> FileFacts {
        FileFacts { entry, name: name.to_owned(), size: 10, sha256: Sha256::of(name.as_bytes()), pdf }
    }

    fn table(names: &[&str]) -> FileTable {
        FileTable::new(names.iter().zip(0..).map(|(name, entry)| fact(entry, name, pdf(Some(1)))).collect())
    }

    fn resolved(table: &mut FileTable, act: &mut Act, rules: &Rules<'_>) -> Vec<(Code, Option<String>)> {
        let mut out = Vec::new();
        table.resolve(act, rules, &mut |_, _| Some(b"{}".to_vec()), &mut out);
        out.into_iter().map(|finding| (finding.code, finding.expected)).collect()
    }

    #[test]
    fn finds_files_as_people_name_them() {
        let names = ["lotto/Atto.PDF", "lotto/atto 2.pdf", "lotto/sub/perche\u{301}.pdf", "lotto/due.pdf", "lotto/DUE.pdf"];
        let table_of_names = [
            ("lotto/Atto.PDF", Some(0)),
            ("Atto.PDF", Some(0)),
            ("atto.pdf", Some(0)),
            ("LOTTO/ATTO.pdf", Some(0)),
            (" ./atto 2.pdf ", Some(1)),
            ("sub\\perché.pdf", Some(2)),
            ("SUB/PERCHÉ.PDF", Some(2)),
            ("due.pdf", Some(3)),
            ("DUE.pdf", Some(4)),
            ("Due.pdf", None), // two answer to it
            ("perché.pdf", None),
            ("altro/Atto.PDF", Some(0)), // any folder in place of the one on top
            ("assente.pdf", None),
            ("", None),
        ];
        for (name, want) in table_of_names {
            let mut table = table(&names);
            let got = table.find(name).ok().and_then(|place| table.files.get(place)).map(|slot| slot.entry);
            assert_eq!(got, want, "{name:?}");
        }
        let mut flat = table(&["a/x.pdf", "b/x.pdf"]);
        assert!(flat.find("x.pdf").is_err() && flat.find("a/x.pdf").is_ok());
        assert_eq!(flat.unreferenced().collect::<Vec<_>>(), [(1, "b/x.pdf")]);
        // As it came, and as Windows or our own rejects have written it since.
        for names in [["S.R.L./verbale 10:30.pdf", "S.R.L./con.pdf"], ["S.R.L/verbale 10_30.pdf", "S.R.L/_con.pdf"]] {
            for (entry, written) in [
                (0, "S.R.L./verbale 10:30.pdf"),
                (0, "s.r.l\\verbale 10_30.pdf"),
                (0, "verbale 10:30.pdf"),
                (1, "S.R.L./con.pdf"),
                (1, "CON.pdf"),
            ] {
                let mut table = table(&names);
                let got = table.find(written).ok().and_then(|place| table.files.get(place)).map(|slot| slot.entry);
                assert_eq!(got, Some(entry), "{written:?} in {names:?}");
            }
        }
    }

    #[test]
    fn a_file_takes_little_memory() {
        assert!(size_of::<Slot>() <= 72, "{}", size_of::<Slot>());
    }

    #[test]
    fn stores_and_judges_files() {
        let facts = || {
            let mut facts = vec![
                fact(0, "lotto.csv", None),
                fact(1, "atto.pdf", pdf(Some(1))),
                fact(2, "finto.pdf", None),
                fact(3, "cifrato.pdf", Some(PdfFacts { encrypted: true, pages: None })),
                fact(4, "vuoto.pdf", None),
                fact(5, "enorme.pdf", pdf(None)),
            ];
            facts[4].size = 0;
            facts[5].size = MAX_PDF + 1;
            facts
        };
        let cases: [(&str, &[Code]); 7] = [
            ("atto.pdf", &[]),
            ("assente.pdf", &[Code::FileMissing]),
            ("lotto.csv", &[Code::FileIsBatch]),
            ("finto.pdf", &[Code::PdfInvalid]),
            ("cifrato.pdf", &[Code::PdfEncrypted]),
            ("vuoto.pdf", &[Code::FileEmpty]),
            ("enorme.pdf", &[Code::PdfTooBig]),
        ];
        for (name, want) in cases {
            let mut table = FileTable::new(facts()).with_batch_file(0);
            let mut act = samples::act();
            act.documents = vec![FileRef::named(name)];
            let codes: Vec<Code> = resolved(&mut table, &mut act, &Rules::default()).into_iter().map(|(code, _)| code).collect();
            assert_eq!(codes, want, "{name}");
            let found = !matches!(want, [Code::FileMissing | Code::FileIsBatch]);
            assert_eq!(act.documents[0].stored.is_some(), found, "{name}");
        }
        let mut table = FileTable::new(facts()).with_batch_file(0);
        let mut act = samples::act();
        let wrong = Sha256::of(b"other");
        act.documents = vec![FileRef { given_sha256: Some(wrong), ..FileRef::named("atto.pdf") }, FileRef::named("ATTO.PDF")];
        let real = Sha256::of(b"atto.pdf").to_hex();
        assert_eq!(resolved(&mut table, &mut act, &Rules::default()), [(Code::FileDigest, Some(real)), (Code::FileTwice, None)]);
        assert_eq!(table.unreferenced().count(), 4);
        let mut cancel = samples::act();
        cancel.action = Action::Cancel;
        cancel.documents = vec![FileRef::named("finto.pdf"), FileRef::named("assente.pdf")];
        assert_eq!(resolved(&mut table, &mut cancel, &Rules::default()), []);
        assert_eq!(table.unreferenced().count(), 3);
        assert_eq!(resolved(&mut FileTable::bare(), &mut samples::act(), &Rules::default()), [(Code::DocumentsNotAllowed, None)]);
    }

    #[test]
    fn who_carries_a_digest_is_found_without_looking_at_every_file() {
        let digest = |name: &str| Sha256::of(name.as_bytes());
        let with = |entry, name: &str, content: &str| FileFacts { sha256: digest(content), ..fact(entry, name, None) };
        let mut few = FileTable::new(vec![with(0, "2/b.pdf", "x"), with(1, "1/a.pdf", "x"), with(2, "1/c.pdf", "y")]);
        let table = [
            ("x", None, Some("1/a.pdf")),
            ("x", Some("1/"), None),
            ("x", Some("2/"), None),
            ("x", Some("3/"), Some("1/a.pdf")),
            ("y", Some("2/"), Some("1/c.pdf")),
            ("z", Some("1/"), None),
        ];
        for (content, own, want) in table {
            assert_eq!(few.carrier_of(digest(content), own), want, "{content} from {own:?}");
        }
        // Of half the files the content is the same.
        const MANY: u32 = 20_000;
        let content = |entry: u32| if entry.is_multiple_of(2) { "same".to_owned() } else { entry.to_string() };
        let mut many = FileTable::new((0..MANY).map(|entry| with(entry, &format!("{entry}/a.pdf"), &content(entry))).collect());
        for row in 0..MANY {
            assert_eq!(many.carrier_of(digest(&format!("nobody's {row}")), Some(&format!("{row}/"))), None);
        }
        assert_eq!(many.carrier_of(digest("same"), Some("19998/")), None, "it is the row's own");
        let most = (MANY as usize + 1) * 2 * 17;
        assert!(many.compared.get() <= most, "{} digests compared for {MANY} questions", many.compared.get());
    }

    #[test]
    fn f24_metadata_is_read_and_judged() {
        let mut act = samples::act();
        act.recipients[0].payments = vec![Payment::F24 { title: "IMU".to_owned(), apply_cost: true, metadata: FileRef::named("f24.json") }];
        let mut table = FileTable::new(vec![fact(0, "atto.pdf", pdf(None)), fact(1, "f24.json", None)]);
        let mut asked = Vec::new();
        let mut out = Vec::new();
        table.resolve(
            &mut act,
            &Rules::default(),
            &mut |entry, _| {
                asked.push(entry);
                Some(b"{}".to_vec())
            },
            &mut out,
        );
        assert_eq!(asked, [1]);
        assert_eq!(
            out.iter().map(|finding| (finding.field, finding.code)).collect::<Vec<_>>(),
            [(Field::of_nth(f::F24_FILE, 0, 0), Code::F24Invalid)]
        );
    }

    #[test]
    fn light_mail_counts_pages() {
        let mut flow = samples::flow();
        flow.checks.light_mail = true;
        let heavy =
            SenderFacts { tax_id: "", denomination: "", groups: &[], group_required: false, heavy_mail: true, address_lookup: false };
        let light = SenderFacts { heavy_mail: false, ..heavy };
        let cases: [(&[Option<u32>], usize, usize); 8] = [
            (&[Some(4)], 0, 0),
            (&[Some(5)], 1, 0),
            (&[Some(2), Some(2)], 0, 0),
            (&[Some(2), Some(3)], 1, 0),
            (&[Some(1), Some(1), Some(1)], 1, 0),
            (&[None], 0, 1),
            (&[], 0, 0),
            (&[Some(1)], 0, 0),
        ];
        for (pages, errors, warnings) in cases {
            let facts = pages.iter().zip(0..).map(|(pages, entry)| fact(entry, &format!("{entry}.pdf"), pdf(*pages))).collect();
            let mut act = samples::act();
            act.documents = (0..pages.len()).map(|entry| FileRef::named(format!("{entry}.pdf"))).collect();
            let mut out = Vec::new();
            let rules = Rules { flow: Some(&flow), sender: Some(&light), today: None, ..Rules::default() };
            let mut table = FileTable::new(facts);
            table.resolve(&mut act, &rules, &mut |_, _| None, &mut out);
            let count = |severity| out.iter().filter(|finding| finding.severity == severity).count();
            assert_eq!(
                (count(crate::batch::problem::Severity::Error), count(crate::batch::problem::Severity::Warning)),
                (errors, warnings),
                "{pages:?}"
            );
            out.clear();
            table.resolve(&mut act, &Rules { sender: Some(&heavy), ..rules }, &mut |_, _| None, &mut out);
            assert_eq!(out, [], "{pages:?}");
        }
        let mut act = samples::act();
        let Some(Payment::PagoPa { attachment, .. }) = act.recipients[0].payments.first_mut() else { panic!("no notice") };
        *attachment = Some(FileRef::named("avviso.pdf"));
        let rules = Rules { flow: Some(&flow), sender: Some(&light), today: None, ..Rules::default() };
        let codes = resolved(&mut table(&["atto.pdf", "avviso.pdf"]), &mut act, &rules);
        assert_eq!(codes, [(Code::PdfTooManyPages, Some("nessun allegato di pagamento".to_owned()))]);
    }
}
