//! What came back for the files that were written: `<name>_SCARTI` (rows that were not taken, with their codes) and `<name>_IUV`
//! (rows that were), zipped or not, as MyPay names them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::IN;

/// Answers read in one go: the others when these were told and put aside.
const MOST: usize = 10_000;
/// Bytes of an answer, unpacked: a file of one row answers with one.
const LONGEST: u64 = 8 << 20;
/// Where what was told is kept.
const TOLD: &str = "letti";
/// A reject without a code that can be read.
const NO_CODE: &str = "SCARTO_SENZA_CODICE";

/// What the files of the PT say, by ticket: taken, or the code of why not. A file that is not whole yet is left for later.
pub fn outcomes(folder: &Path) -> io::Result<Vec<(String, Result<(), String>)>> {
    let mut found: BTreeMap<String, Result<(), String>> = BTreeMap::new();
    let (answers, more) = answers(folder, MOST)?;
    if more {
        tracing::warn!(folder = %folder.display(), read = answers.len(), "le risposte del PT sono troppe per un giro: le altre al prossimo");
    }
    for (ticket, kind, path) in answers {
        match (kind, read(&path, kind)) {
            // A refusal weighs more than the list of what was taken.
            (Kind::Rejects, Ok(Some(code))) => drop(found.insert(ticket, Err(code))),
            (Kind::Rejects | Kind::Taken, Ok(None)) => drop(found.entry(ticket).or_insert(Ok(()))),
            (Kind::Taken, Ok(Some(_))) => {}
            (_, Err(error)) => tracing::debug!(%error, "a file of the PT that is not whole"),
        }
    }
    Ok(found.into_iter().collect())
}

/// Puts aside the files of a ticket that was told. Repeated, it does nothing.
pub fn told(folder: &Path, ticket: &str) -> io::Result<()> {
    let (from, kept) = (folder.join(IN), folder.join(IN).join(TOLD));
    for (end, _) in KINDS {
        for extension in ["zip", "csv"] {
            let name = format!("{ticket}{end}.{extension}");
            if from.join(&name).try_exists()? {
                fs::create_dir_all(&kept)?;
                fs::rename(from.join(&name), kept.join(&name))?;
            }
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rejects,
    Taken,
}

/// How their names end.
const KINDS: [(&str, Kind); 2] = [("_SCARTI", Kind::Rejects), ("_IUV", Kind::Taken)];

/// Ticket, what it says, where it is.
type Answer = (String, Kind, PathBuf);

/// The files in `entrata/` that answer one of ours, and whether there are more than `most`. Whatever else lies there is passed over, as
/// much as it may be.
fn answers(folder: &Path, most: usize) -> io::Result<(Vec<Answer>, bool)> {
    let entries = match fs::read_dir(folder.join(IN)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), false)),
        entries => entries?,
    };
    let (mut found, mut more) = (Vec::new(), false);
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".zip").or(name.strip_suffix(".csv"))) else { continue };
        let Some((ticket, kind)) = KINDS.iter().find_map(|(end, kind)| Some((stem.strip_suffix(end)?, *kind))) else { continue };
        if !ticket.contains("-MESSO") || !entry.file_type()?.is_file() {
            continue;
        }
        if found.len() >= most {
            more = true;
            break;
        }
        found.push((ticket.to_owned(), kind, entry.path()));
    }
    found.sort_by(|a, b| a.2.cmp(&b.2));
    Ok((found, more))
}

/// The code of the first row of a list of rejects; `None` when it has no rows.
fn read(path: &Path, kind: Kind) -> io::Result<Option<String>> {
    let bytes =
        if path.extension().is_some_and(|extension| extension == "zip") { unzipped(path)? } else { limited(fs::File::open(path)?)? };
    if kind == Kind::Taken {
        return Ok(None);
    }
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').flexible(true).from_reader(bytes.as_slice());
    let headers = reader.byte_headers().map_err(io::Error::other)?.clone();
    let at = headers.iter().position(|name| name.eq_ignore_ascii_case(b"cod_rifiuto"));
    let Some(row) = reader.byte_records().next() else {
        // Without a header the copy has only begun.
        return if headers.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
    };
    let row = row.map_err(io::Error::other)?;
    let code = at.and_then(|at| row.get(at)).map(|code| String::from_utf8_lossy(code).into_owned()).unwrap_or_default();
    let code: String = code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(80).collect();
    Ok(Some(if code.is_empty() { NO_CODE.to_owned() } else { code }))
}

fn unzipped(path: &Path) -> io::Result<Vec<u8>> {
    let mut zip = zip::ZipArchive::new(fs::File::open(path)?).map_err(io::Error::other)?;
    for index in 0..zip.len().min(16) {
        let entry = zip.by_index(index).map_err(io::Error::other)?;
        if entry.is_file() && entry.name().map_err(io::Error::other)?.to_ascii_lowercase().ends_with(".csv") {
            return limited(entry);
        }
    }
    Err(io::Error::other("no CSV in it"))
}

fn limited(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST { Err(io::Error::other("too long")) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_answer_does_not_count_and_too_many_answers_are_said() {
        let folder = tempfile::tempdir().unwrap();
        let inbox = folder.path().join(IN);
        fs::create_dir_all(&inbox).unwrap();
        let put = |name: String| fs::write(inbox.join(name), "IUD;cod_rifiuto\n").unwrap();
        (0..40).for_each(|number| put(format!("scontrino-{number}.csv")));
        (0..40).for_each(|number| put(format!("A-MESSO{number}-1_3_AVVISI_PDF.zip")));
        (0..3).for_each(|number| put(format!("A-MESSO{number}-1_3_SCARTI.csv")));
        for (most, want) in [(10, (3, false)), (3, (3, false)), (2, (2, true))] {
            let (found, more) = answers(folder.path(), most).unwrap();
            assert_eq!((found.len(), more), want, "{most}");
        }
    }
}
