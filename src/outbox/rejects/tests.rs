//! Tests of `rejects`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::ControlFlow;

use zip::ZipArchive;

use super::*;
use crate::batch::fields::Field;
use crate::batch::layouts::{LAYOUTS, Peek, ReadContext, ReadError};
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

    fn write_rejects(&self, original: &mut dyn Read, rejects: &mut RejectRows<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut text = String::new();
        original.read_to_string(&mut text)?;
        while let Some(reject) = rejects.next_row()? {
            let range = reject.place.start as usize..reject.place.end as usize;
            writeln!(out, "{};{}", &text[range], reject.reasons[0].0)?;
        }
        Ok(())
    }

    fn reject_batch_file(&self) -> &'static str {
        "lotto.csv"
    }

    fn reject_file(&self, position: u64, _: &Rejected, file: &str) -> String {
        if self.renumber { format!("{}/{file}", position + 1) } else { file.to_owned() }
    }
}

fn reject(start: u64, end: u64, files: &[&str]) -> Rejected {
    Rejected {
        place: Place { start, end, ..Place::default() },
        reasons: vec![("CAP_NON_VALIDO".into(), "Il CAP non è valido.".into())],
        files: files.iter().map(|name| RejectedFile { name: (*name).to_owned(), entry: None }).collect(),
    }
}

fn rejects<'a>(layout: &'a dyn Layout, count: usize, rows: &'a dyn Fn() -> RowsReader<'a>) -> Rejects<'a> {
    Rejects {
        layout,
        count: count as u64,
        rows,
        original_name: "TARI novembre.zip",
        drop: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        made_at: "2026-11-22T17:01:04Z".parse().unwrap(),
        folder: Some("tributi-pagamento"),
    }
}

fn open(file: &RejectedFile) -> io::Result<Option<Box<dyn Read>>> {
    match file.name.as_str() {
        "a.pdf" | "S.R.L./a 10:30.pdf" => Ok(Some(Box::new(Cursor::new(b"%PDF-a")))),
        "comune.pdf" => Ok(Some(Box::new(io::repeat(b'x').take(3_000_000)))),
        "rotto.pdf" => Err(io::Error::new(io::ErrorKind::InvalidData, "CRC")),
        _ => Ok(None),
    }
}

fn zip_of(layout: &Lines, list: &[Rejected]) -> io::Result<(RejectSummary, Vec<u8>)> {
    let (mut spool, mut out) = (Cursor::new(Vec::new()), Vec::new());
    let rows = || -> RowsReader<'_> { Box::new(list.iter().cloned().map(Ok)) };
    let summary = write_zip(&rejects(layout, list.len(), &rows), &mut &b"uno\ndue\ntre\n"[..], &mut open, &mut spool, &mut out)?;
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

    Dove: nella cartella «in/tributi-pagamento», come la prima volta.

    1 documento citato dagli atti non era nell'archivio originale e va aggiunto.

    Gli eventuali altri atti del file seguono il loro corso: non vanno depositati di
    nuovo.
    "#);
}

#[test]
fn files_are_written_as_every_system_can_unpack_them() {
    let list = [reject(0, 3, &["S.R.L./a 10:30.pdf"])];
    for (renumber, want) in [(false, "S.R.L/a 10_30.pdf"), (true, "1/S.R.L/a 10_30.pdf")] {
        let (summary, bytes) = zip_of(&Lines { renumber }, &list).unwrap();
        assert_eq!((summary.copied, summary.missing), (1, 0));
        assert_eq!(unpack(&bytes)[want], b"%PDF-a");
    }
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
    let rows = || -> RowsReader<'_> { Box::new(list.iter().cloned().map(Ok)) };
    write_bare(&rejects(&layout, 1, &rows), &mut &b"uno\ndue\ntre\n"[..], &mut out).unwrap();
    assert_eq!(out.as_slice(), &b"due;CAP_NON_VALIDO\n"[..]);
}

#[test]
fn later_rejects_of_one_drop_have_names_of_their_own() {
    let drop = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    assert_eq!(reject_name(drop, "TARI novembre.zip", 1, "zip"), "scarto_b302099a8057_TARI-novembre.zip");
    assert_eq!(reject_name(drop, "TARI novembre.zip", 2, "zip"), "scarto_b302099a8057_TARI-novembre_2.zip");
    assert_eq!(reject_name(drop, "annulli.csv", 1, "csv"), "scarto_b302099a8057_annulli.csv");
}

/// Gives its bytes, and only at the end says that they are not those that were accepted.
struct Altered<'a> {
    bytes: &'a [u8],
}

impl Read for Altered<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.bytes.read(out)? {
            0 => Err(io::Error::new(io::ErrorKind::InvalidData, "changed")),
            read => Ok(read),
        }
    }
}

#[test]
fn a_batch_file_that_was_changed_is_never_written_whatever_the_layout_makes_of_it() {
    let xml = "<lotto xmlns=\"urn:messo:lotto:1.0\"><intestazione></intestazione><atto>x</atto></lotto>";
    // Read to its end, not to its end, and not understood at all.
    let table: [(&dyn Layout, &str, Rejected); 4] = [
        (&Lines { renumber: false }, "uno\ndue\n", reject(0, 3, &[])),
        (LAYOUTS[1], "riferimento;ente\r\nA1;1\r\nA2;1\r\n", reject(18, 22, &[])),
        (LAYOUTS[0], xml, reject(65, 79, &[])),
        (LAYOUTS[0], "né XML né altro", reject(0, 3, &[])),
    ];
    for (layout, bytes, refused) in table {
        let rows = || -> RowsReader<'_> { Box::new(std::iter::once(Ok(refused.clone()))) };
        let (mut spool, mut out) = (Cursor::new(Vec::new()), Vec::new());
        let mut original = Altered { bytes: bytes.as_bytes() };
        let outcome = write_zip(&rejects(layout, 1, &rows), &mut original, &mut open, &mut spool, &mut out);
        assert_eq!(outcome.unwrap_err().to_string(), "changed", "{} {bytes}", layout.name());
        assert!(out.is_empty(), "{}: nothing of it is written", layout.name());
    }
}

/// A batch file of as many rows as asked for, made as it is read.
struct Rows<'a> {
    row: &'a [u8],
    left: u64,
    now: &'a [u8],
}

impl Read for Rows<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            if self.now.is_empty() {
                let Some(left) = self.left.checked_sub(1) else { break };
                (self.left, self.now) = (left, self.row);
            }
            filled += self.now.read(&mut out[filled..])?;
        }
        Ok(filled)
    }
}

/// Counts the bytes that go by.
struct Counted<'a>(&'a Cell<u64>);

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_hundred_thousand_refused_rows_pass_one_at_a_time() {
    const MANY: u64 = 100_000;
    let csv = (&b"riferimento;ente\r\n"[..], &b"A1;01234567890\r\n"[..]);
    let pu = (&b"organizationId;paProtocolNumber\r\n"[..], &b"7;PROT\r\n"[..]);
    let xml = (&b"<lotto xmlns='urn:messo:lotto:1.0'><intestazione></intestazione>"[..], &b"<atto><a/></atto>"[..]);
    for (layout, (head, row)) in LAYOUTS.iter().zip([xml, csv, pu]) {
        let [asked, written, before, kept] = [const { Cell::new(0u64) }; 4];
        let rows = || -> RowsReader<'_> {
            // The end of a line is no part of its record.
            let (head, row, own) = (head.len() as u64, row.len() as u64, row.trim_ascii_end().len() as u64);
            Box::new((0..MANY).map(move |n| head + n * row).map(move |start| (start, start + own)).map(|(start, end)| {
                // A row asked for before the one in front of it was written is a row that is kept.
                let idle = asked.get() > 0 && written.get() == before.get();
                kept.set(kept.get() + u64::from(idle));
                before.set(written.get());
                asked.set(asked.get() + 1);
                Ok(reject(start, end, &["a.pdf"]))
            }))
        };
        write_bare(&rejects(*layout, MANY as usize, &rows), &mut Rows { row, left: MANY, now: head }, &mut Counted(&written)).unwrap();
        assert_eq!((asked.get(), kept.get()), (MANY, 0), "{}", layout.name());
        assert!(written.get() > MANY * "CAP_NON_VALIDO".len() as u64, "{}: {}", layout.name(), written.get());
    }
}
