//! Looks through a folder of exports, wherever an office keeps them: is one missing, was one altered, do the totals add up?
//!
//! Needs nothing but the files: each holds the digest of the one before it in its format, and its own number. Only of the newest
//! nobody else tells. Memory does not grow with the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::exports::{COLUMNS, CONTROL, EXPORT_SOURCE, ROW, TOTAL};
use super::names::sanitised;
use crate::domain::digest::{Hasher, Sha256};
use crate::domain::standing::ExportKind;

/// What was found in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    pub files: u64,
    pub exports: u64,
    /// By gestionale and number.
    pub findings: Vec<Finding>,
}

/// Something that an office should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The first export here is not the first there was: no fault by itself.
    Begins { file: String, number: u64 },
    /// No file of that number and format (`csv` or `xml`).
    Missing { file: String },
    /// Its digest is not the one that the next file tells.
    Altered { file: String, next: String },
    /// Its rows do not add up to its totals.
    Totals { file: String, column: &'static str },
    /// Not a whole export, or not of the number in its name.
    Broken { file: String },
}

impl Finding {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Finding::Begins { .. } => "INIZIO",
            Finding::Missing { .. } => "MANCANTE",
            Finding::Altered { .. } => "ALTERATA",
            Finding::Totals { .. } => "TOTALI_ERRATI",
            Finding::Broken { .. } => "NON_VALIDA",
        }
    }

    /// What its sentence names: a number, a file, a column.
    pub fn about(&self) -> String {
        match self {
            Finding::Begins { number, .. } => number.to_string(),
            Finding::Altered { next, .. } => next.clone(),
            Finding::Totals { column, .. } => (*column).to_owned(),
            Finding::Missing { .. } | Finding::Broken { .. } => String::new(),
        }
    }

    /// The file it is about; of a missing one the name it would have without its kind.
    pub fn file(&self) -> &str {
        match self {
            Finding::Begins { file, .. }
            | Finding::Missing { file }
            | Finding::Altered { file, .. }
            | Finding::Totals { file, .. }
            | Finding::Broken { file } => file,
        }
    }
}

/// What a file tells.
struct Told {
    file: String,
    sha256: Sha256,
    /// Number and digest of the file before; `None`: it cannot be read.
    inside: Option<(u64, Option<Sha256>)>,
    wrong_total: Option<&'static str>,
}

const FORMATS: [&str; 2] = ["csv", "xml"];

/// Checks every export in `dir` (not below it).
pub fn folder(dir: &Path) -> io::Result<Checked> {
    let mut chains: BTreeMap<(String, &'static str), BTreeMap<u64, Told>> = BTreeMap::new();
    let mut checked = Checked::default();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let Some(file) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let Some((source, number, format)) = parse_name(&file) else { continue };
        if !entry.file_type()?.is_file() {
            continue;
        }
        let opened = File::open(entry.path())?;
        let told = if format == "csv" { read_csv(file, opened)? } else { read_xml(file, opened)? };
        checked.files += 1;
        chains.entry((source, format)).or_default().insert(number, told);
    }
    let sources: BTreeSet<String> = chains.keys().map(|(source, _)| source.clone()).collect();
    for source in sources {
        let numbers: BTreeSet<u64> =
            FORMATS.iter().filter_map(|format| chains.get(&(source.clone(), format))).flat_map(|chain| chain.keys().copied()).collect();
        let (Some(first), Some(last)) = (numbers.first().copied(), numbers.last().copied()) else { continue };
        checked.exports += numbers.len() as u64;
        if first > 1 {
            checked.findings.push(Finding::Begins { file: stem(&source, first), number: first });
        }
        for number in first..=last {
            for format in FORMATS {
                let Some(chain) = chains.get(&(source.clone(), format)) else {
                    checked.findings.push(Finding::Missing { file: format!("{}.{format}", stem(&source, number)) });
                    continue;
                };
                checked.findings.extend(look(&source, format, chain, number));
            }
        }
    }
    Ok(checked)
}

fn look(source: &str, format: &str, chain: &BTreeMap<u64, Told>, number: u64) -> Option<Finding> {
    let Some(told) = chain.get(&number) else {
        return Some(Finding::Missing { file: format!("{}.{format}", stem(source, number)) });
    };
    let file = told.file.clone();
    // Altered says more than what the alteration broke.
    if let Some(next) = chain.get(&(number + 1))
        && let Some((_, previous)) = next.inside
        && previous != Some(told.sha256)
    {
        return Some(Finding::Altered { file, next: next.file.clone() });
    }
    match (told.inside, told.wrong_total) {
        (Some((inside, previous)), wrong) if inside == number && (number == 1) == previous.is_none() => {
            wrong.map(|column| Finding::Totals { file, column })
        }
        _ => Some(Finding::Broken { file }),
    }
}

fn stem(source: &str, number: u64) -> String {
    format!("rendicontazione_{source}_{number:06}")
}

/// Gestionale, number and format of `rendicontazione_<gestionale>_000012[_aperti].csv`.
fn parse_name(file: &str) -> Option<(String, u64, &'static str)> {
    let (stem, extension) = file.rsplit_once('.')?;
    let format = FORMATS.into_iter().find(|format| *format == extension)?;
    let stem = stem.strip_suffix("_aperti").unwrap_or(stem).strip_prefix("rendicontazione_")?;
    let (source, number) = stem.rsplit_once('_')?;
    let plain = number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit());
    Some((source.to_owned(), number.parse().ok().filter(|_| plain)?, format))
}

/// The number of an export of that gestionale, by the name of its file.
pub fn export_of(source: &str, file: &str) -> Option<u64> {
    parse_name(file).filter(|(of, ..)| *of == sanitised(source, EXPORT_SOURCE)).map(|(_, number, _)| number)
}

/// Digests what passes.
struct Digested<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Digested<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..taken).unwrap_or_default());
        Ok(taken)
    }
}

impl<R: Read> Digested<R> {
    fn of(inner: R) -> Digested<R> {
        Digested { inner, hasher: Hasher::new() }
    }

    /// What is left is read too.
    fn finish(mut self) -> io::Result<Sha256> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.hasher.finish())
    }
}

/// Columns that are summed, and where each total is.
const SUMMED: [(&str, &str); 8] = [
    ("importo", "importo"),
    ("costo_base", "costo_base"),
    ("costo_carta", "costo_carta"),
    ("costo_ente", "costo_ente"),
    ("costo_cittadino", "costo_cittadino"),
    ("dovuto", "dovuto"),
    ("pagato", "pagato"),
    ("importo_atti", "importo"),
];

fn position(name: &str) -> usize {
    COLUMNS.iter().chain(CONTROL).position(|column| *column == name).unwrap_or(usize::MAX)
}

/// Bytes of a row: hostile files must not fill the memory.
const LONGEST_ROW: usize = 1 << 20;

fn read_csv(file: String, opened: File) -> io::Result<Told> {
    let mut source = Digested::of(BufReader::with_capacity(1 << 16, opened));
    let read = add_up(&mut source);
    let sha256 = source.finish()?;
    let (inside, wrong_total) = read.map_or((None, None), |(number, previous, wrong)| (Some((number, previous)), wrong));
    Ok(Told { file, sha256, inside, wrong_total })
}

type Added = (u64, Option<Sha256>, Option<&'static str>);

/// Gives so many bytes and then fails, until it is allowed more: a row without an end is not collected to the end of the file.
struct Rationed<R> {
    inner: R,
    left: usize,
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(self.left);
        if wanted == 0 && !buffer.is_empty() {
            return Err(io::Error::other("a row without an end"));
        }
        let taken = self.inner.read(buffer.get_mut(..wanted).unwrap_or_default())?;
        self.left -= taken;
        Ok(taken)
    }
}

/// Reads a CSV to its end. `None`: it is not a whole export.
fn add_up(source: &mut impl Read) -> Option<Added> {
    let rationed = Rationed { inner: source, left: LONGEST_ROW };
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').flexible(true).from_reader(rationed);
    let header = reader.byte_headers().ok()?.clone();
    let first = header.get(0)?;
    if header.len() != COLUMNS.len() + CONTROL.len() || !first.ends_with(b"tipo") {
        return None;
    }
    let (mut sums, mut rows, mut acts) = ([0_i64; SUMMED.len()], 0_u64, 0_u64);
    let mut row = csv::ByteRecord::new();
    let mut told = None;
    loop {
        reader.get_mut().left = LONGEST_ROW;
        if !reader.read_byte_record(&mut row).ok()? {
            return told;
        }
        if row.len() != header.len() || row.as_slice().len() > LONGEST_ROW || told.is_some() {
            return None;
        }
        let cell = |name: &str| row.get(position(name)).and_then(|cell| std::str::from_utf8(cell).ok());
        match cell("tipo")? {
            ROW => {
                rows += 1;
                let first = cell("destinatario")? == "1";
                acts += u64::from(first);
                for (sum, (total, column)) in sums.iter_mut().zip(SUMMED) {
                    if total == column || first {
                        *sum = sum.checked_add(cents(cell(column)?)?)?;
                    }
                }
            }
            TOTAL => {
                let number = cell("numero")?.parse().ok()?;
                let previous = match cell("precedente_sha256")? {
                    "" => None,
                    digest => Some(Sha256::parse(digest)?),
                };
                let counted = [("righe", rows), ("atti", acts)];
                let counts = counted.iter().find(|(name, count)| cell(name).and_then(|cell| cell.parse().ok()) != Some(*count));
                let wrong = SUMMED.iter().zip(sums).find(|((total, _), sum)| cell(total).and_then(cents) != Some(*sum));
                told = Some((number, previous, counts.map(|(name, _)| *name).or(wrong.map(|((total, _), _)| *total))));
            }
            _ => return None,
        }
    }
}

/// `12,34`, `-0,05` or nothing.
fn cents(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (euro, cents) = digits.split_once(',').filter(|(_, cents)| cents.len() == 2)?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(euro) || !plain(cents) {
        return None;
    }
    euro.parse::<i64>().ok()?.checked_mul(100)?.checked_add(cents.parse().ok()?)?.checked_mul(sign)
}

/// Bytes in which the header of an XML lies.
const HEAD: u64 = 1 << 13;

fn read_xml(file: String, opened: File) -> io::Result<Told> {
    let mut source = Digested::of(BufReader::with_capacity(1 << 16, opened));
    let mut head = Vec::new();
    (&mut source).take(HEAD).read_to_end(&mut head)?;
    // The end of the file, a window that slides.
    let mut tail = head.clone();
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        let taken = source.read(&mut buffer)?;
        if taken == 0 {
            break;
        }
        tail.extend_from_slice(buffer.get(..taken).unwrap_or_default());
        let surplus = tail.len().saturating_sub(END.len());
        tail.drain(..surplus);
    }
    let whole = tail.ends_with(END.as_bytes());
    let sha256 = source.finish()?;
    let head = String::from_utf8_lossy(&head).into_owned();
    let header = head.split_once("<testata>").and_then(|(_, rest)| rest.split_once("</testata>")).map(|(header, _)| header);
    let inside = header.filter(|_| whole).and_then(|header| {
        let text = |name: &str| header.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once('<')).map(|(text, _)| text);
        let kind: Result<ExportKind, ()> = text("genere")?.parse();
        kind.ok()?;
        let previous = match text("precedente_sha256") {
            Some(digest) => Some(Sha256::parse(digest)?),
            None => None,
        };
        Some((text("numero")?.parse().ok()?, previous))
    });
    Ok(Told { file, sha256, inside, wrong_total: None })
}

const END: &str = "</totali>\n</rendicontazione>\n";

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of somebody who means harm: a cell without an end.
    #[test]
    fn a_row_without_an_end_is_not_collected() {
        struct Counted<R>(R, usize);
        impl<R: Read> Read for Counted<R> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let taken = self.0.read(buffer)?;
                self.1 += taken;
                Ok(taken)
            }
        }
        let head: Vec<&str> = COLUMNS.iter().chain(CONTROL).copied().collect();
        for head in [String::new(), format!("{}\r\n", head.join(";"))] {
            let endless = io::repeat(b'x').take(64 << 20);
            let mut source = Counted(io::Cursor::new(head.clone().into_bytes()).chain(endless), 0);
            assert!(add_up(&mut source).is_none());
            assert!(source.1 <= 2 * LONGEST_ROW + head.len(), "{} bytes were read for a row", source.1);
        }
    }

    #[test]
    fn an_export_is_known_by_its_whole_name() {
        let table = [
            ("rendicontazione_polizia_000012.csv", Some(12)),
            ("rendicontazione_polizia_000012_aperti.xml", Some(12)),
            ("rendicontazione_polizia_1000012.xml", Some(1_000_012)),
            ("rendicontazione_tributi_000012.csv", None),
            ("rendicontazione_polizia_12.csv", None),
            ("rendicontazione_polizia_000012.xlsx", None),
            ("riepilogo_202611.csv", None),
        ];
        for (name, want) in table {
            assert_eq!(export_of("polizia", name), want, "{name}");
        }
    }
}
