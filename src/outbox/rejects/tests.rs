//! Tests of `rejects`.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::ControlFlow;

use zip::ZipArchive;

use super::*;
use crate::batch::fields::Field;
use crate::batch::layouts::{Peek, ReadContext, ReadError};
use crate::batch::row::{Parsed, Place};

/// A layout of lines: a reject is its byte range and its reasons; files are renumbered on request, as PU does.
struct Lines {
    renumber: bool,
}

impl Layout for Lines {
    fn name(&self) -> &'static str {
        "righe"
    }

    fn claims(&self, _: &Peek<'_>) -> Option<usize> {
        None
    }

    fn read(&self, _: &mut dyn Read, _: &ReadContext<'_>, _: &mut dyn FnMut(Parsed) -> ControlFlow<()>) -> Result<(), ReadError> {
        Ok(())
    }

    fn locate(&self, field: Field, _: &Place) -> String {
        field.name.to_owned()
    }

    fn write_rejects(&self, original: &mut dyn Read, rejects: &[Rejected], out: &mut dyn Write) -> io::Result<RejectShape> {
        let mut text = String::new();
        original.read_to_string(&mut text)?;
        for reject in rejects {
            let range = reject.place.start as usize..reject.place.end as usize;
            writeln!(out, "{};{}", &text[range], reject.reasons[0].0)?;
        }
        let renamed = |index: usize, name: &String| if self.renumber { format!("{}/{name}", index + 1) } else { name.clone() };
        let files = rejects.iter().enumerate().map(|(index, reject)| reject.files.iter().map(|name| renamed(index, name)).collect());
        Ok(RejectShape { batch_file: "lotto.csv".into(), files: files.collect() })
    }
}

fn reject(start: u64, end: u64, files: &[&str]) -> Rejected {
    Rejected {
        place: Place { start, end, ..Place::default() },
        reasons: vec![("CAP_NON_VALIDO".into(), "Il CAP non è valido.".into())],
        files: files.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn rejects<'a>(layout: &'a Lines, rejects: &'a [Rejected]) -> Rejects<'a> {
    Rejects {
        layout,
        rejects,
        original_name: "TARI novembre.zip",
        drop: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        made_at: "2026-11-22T17:01:04Z".parse().unwrap(),
        folder: Some("tari"),
    }
}

fn open(name: &str) -> io::Result<Box<dyn Read>> {
    match name {
        "a.pdf" => Ok(Box::new(Cursor::new(b"%PDF-a"))),
        "comune.pdf" => Ok(Box::new(io::repeat(b'x').take(3_000_000))),
        "rotto.pdf" => Err(io::Error::new(io::ErrorKind::InvalidData, "CRC")),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn zip_of(layout: &Lines, list: &[Rejected]) -> io::Result<(RejectSummary, Vec<u8>)> {
    let (mut spool, mut out) = (Cursor::new(Vec::new()), Vec::new());
    let summary = write_zip(&rejects(layout, list), &mut &b"uno\ndue\ntre\n"[..], &mut open, &mut spool, &mut out)?;
    Ok((summary, out))
}

fn unpack(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut files = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert!(files.insert(entry.name().unwrap().into_owned(), bytes).is_none(), "twice");
    }
    files
}

#[test]
fn an_archive_holds_batch_file_documents_and_instructions() {
    let list = [reject(0, 3, &["a.pdf", "comune.pdf"]), reject(8, 11, &["comune.pdf", "manca.pdf"])];
    let (summary, bytes) = zip_of(&Lines { renumber: false }, &list).unwrap();
    assert_eq!((summary.copied, summary.missing), (2, 1));
    let files = unpack(&bytes);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["LEGGIMI.txt", "a.pdf", "comune.pdf", "lotto.csv"]);
    assert_eq!(files["lotto.csv"], b"uno;CAP_NON_VALIDO\ntre;CAP_NON_VALIDO\n");
    assert_eq!((files["a.pdf"].as_slice(), files["comune.pdf"].len()), (&b"%PDF-a"[..], 3_000_000));
    let readme = String::from_utf8(files["LEGGIMI.txt"].clone()).unwrap();
    insta::assert_snapshot!(readme.trim_start_matches('\u{feff}').replace("\r\n", "\n"), @r#"
    ATTI SCARTATI
    ================================================================================

    Questo archivio contiene i 2 atti scartati del file «TARI novembre.zip» (lotto
    01890a5d-ac96-774b-bcce-b302099a8057), nello stesso tracciato, con i documenti
    citati.

    Il file «lotto.csv» riporta, accanto a ogni atto, il codice e il motivo dello
    scarto. Gli stessi motivi sono nella ricevuta o, per i rifiuti di SEND,
    nell'esito.

    Che cosa fare: correggere i dati o i documenti indicati, ricomporre l'archivio
    ZIP con gli stessi nomi e depositarlo di nuovo. Codici, motivi e questa pagina
    possono restare: vengono ignorati.

    Dove: nella cartella «in/tari», come la prima volta.

    1 documento citato dagli atti non era nell'archivio originale e va aggiunto.

    Gli eventuali altri atti del file seguono il loro corso: non vanno depositati di
    nuovo.
    "#);
}

#[test]
fn a_layout_may_rename_the_files_of_each_act() {
    let list = [reject(0, 3, &["a.pdf"]), reject(4, 7, &["a.pdf"])];
    let (summary, bytes) = zip_of(&Lines { renumber: true }, &list).unwrap();
    assert_eq!(summary.copied, 2);
    let files = unpack(&bytes);
    assert_eq!((files["1/a.pdf"].as_slice(), files["2/a.pdf"].as_slice()), (&b"%PDF-a"[..], &b"%PDF-a"[..]));
}

#[test]
fn the_same_rejects_give_the_same_bytes() {
    let list = [reject(0, 3, &["a.pdf"])];
    let layout = Lines { renumber: false };
    assert_eq!(zip_of(&layout, &list).unwrap().1, zip_of(&layout, &list).unwrap().1);
}

#[test]
fn a_document_that_cannot_be_read_back_stops_the_archive() {
    let list = [reject(0, 3, &["rotto.pdf"])];
    assert_eq!(zip_of(&Lines { renumber: false }, &list).unwrap_err().to_string(), "CRC");
}

#[test]
fn a_bare_drop_comes_back_bare() {
    let (layout, list, mut out) = (Lines { renumber: false }, [reject(4, 7, &[])], Vec::new());
    let shape = write_bare(&rejects(&layout, &list), &mut &b"uno\ndue\ntre\n"[..], &mut out).unwrap();
    assert_eq!((shape.batch_file.as_str(), out.as_slice()), ("lotto.csv", &b"due;CAP_NON_VALIDO\n"[..]));
}

#[test]
fn later_rejects_of_one_drop_have_names_of_their_own() {
    let drop = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    assert_eq!(reject_name(drop, "TARI novembre.zip", 1, "zip"), "scarto_b302099a8057_TARI-novembre.zip");
    assert_eq!(reject_name(drop, "TARI novembre.zip", 2, "zip"), "scarto_b302099a8057_TARI-novembre_2.zip");
    assert_eq!(reject_name(drop, "annulli.csv", 1, "csv"), "scarto_b302099a8057_annulli.csv");
}
