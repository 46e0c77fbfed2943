//! What is measured on: people, acts, PDFs and archives, each made from its number, the same at every run. Nobody is real.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::domain::fiscal_code::{self, FiscalCodeError};
use crate::domain::notice_code::{self, NoticeCodeError};

/// The flow of every bench.
pub const FLOW: &str = "banco";

/// How the batch file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    Xml,
    Csv,
}

/// A batch to be made.
#[derive(Debug, Clone)]
pub struct Batch {
    pub layout: Layout,
    /// Tax id of the ente.
    pub sender: String,
    /// Number of its first act: acts of two batches must differ.
    pub first: u64,
    pub acts: u64,
    /// Bytes of each PDF.
    pub pdf_bytes: usize,
    /// One PDF for all acts.
    pub shared: bool,
    /// PEC of the recipients; without it they get paper.
    pub pec: Option<&'static str>,
}

const PLACES: [(&str, &str, &str); 12] = [
    ("ROMA", "RM", "00184"),
    ("MILANO", "MI", "20121"),
    ("TORINO", "TO", "10121"),
    ("NAPOLI", "NA", "80133"),
    ("BOLOGNA", "BO", "40121"),
    ("FIRENZE", "FI", "50122"),
    ("BARI", "BA", "70121"),
    ("PALERMO", "PA", "90133"),
    ("GENOVA", "GE", "16121"),
    ("PADOVA", "PD", "35121"),
    ("VERONA", "VR", "37121"),
    ("LECCE", "LE", "73100"),
];
const NAMES: [&str; 8] = ["Mario", "Anna", "Luca", "Giulia", "Paolo", "Chiara", "Marco", "Elena"];
const SURNAMES: [&str; 8] = ["Rossi", "Bianchi", "Verdi", "Neri", "Gallo", "Conti", "Greco", "Fontana"];
const STREETS: [&str; 6] = ["VIA GIUSEPPE GARIBALDI", "VIA ROMA", "PIAZZA DANTE", "VIA DEI MILLE", "CORSO ITALIA", "VIALE DELLA LIBERTA"];

fn pick<T: Copy + Default>(list: &[T], number: u64) -> T {
    list.get(usize::try_from(number).unwrap_or(0) % list.len().max(1)).copied().unwrap_or_default()
}

/// The codice fiscale of a person that does not exist.
pub fn person(number: u64) -> String {
    let letter = |power: u32| char::from(b'A' + u8::try_from(number / 26u64.pow(power) % 26).unwrap_or(0));
    let mut code: String = (0..6).rev().map(letter).collect();
    code.push_str("80A01H501");
    with_check(code, 'A', fiscal_code::check_person)
}

/// The codice fiscale of an ente that does not exist.
pub fn body(number: u64) -> String {
    with_check(format!("{:010}", 8_000_000_000 + number), '0', fiscal_code::check_body)
}

fn with_check(code: String, any: char, check: impl Fn(&str) -> Result<(), FiscalCodeError>) -> String {
    let whole = format!("{code}{any}");
    match check(&whole) {
        Err(FiscalCodeError::Check(letter)) => format!("{code}{letter}"),
        _ => whole,
    }
}

/// A notice code with its check digits.
pub fn notice(number: u64) -> String {
    let code = format!("301{number:013}00");
    match notice_code::check(&code) {
        Err(NoticeCodeError::CheckDigits(digits)) => format!("301{number:013}{digits:02}"),
        _ => code,
    }
}

/// Values of one act.
struct Act {
    number: u64,
    document: String,
    tax_id: String,
    name: String,
    street: String,
    place: (&'static str, &'static str, &'static str),
}

fn act(batch: &Batch, number: u64) -> Act {
    Act {
        number,
        document: if batch.shared { "informativa.pdf".to_owned() } else { document(number) },
        tax_id: person(number),
        name: format!("{} {}", pick(&NAMES, number), pick(&SURNAMES, number / 8)),
        street: format!("{} {}", pick(&STREETS, number), number % 90 + 1),
        place: pick(&PLACES, number),
    }
}

/// Reference of an act.
pub fn reference(number: u64) -> String {
    format!("VERB-2026-{number:07}")
}

fn document(number: u64) -> String {
    format!("pdf/verbale_{number:07}.pdf")
}

/// Writes the batch file.
pub fn write_batch(batch: &Batch, out: &mut dyn Write) -> io::Result<()> {
    let mut acts = (batch.first..batch.first + batch.acts).map(|number| act(batch, number));
    match batch.layout {
        Layout::Xml => {
            writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<lotto xmlns=\"urn:messo:lotto:1.0\">")?;
            writeln!(out, "  <intestazione>\n    <ente>{}</ente>\n    <flusso>{FLOW}</flusso>", batch.sender)?;
            writeln!(out, "    <numeroAtti>{}</numeroAtti>\n  </intestazione>", batch.acts)?;
            acts.try_for_each(|act| xml(batch, &act, out))?;
            writeln!(out, "</lotto>")
        }
        Layout::Csv => {
            out.write_all(
                b"riferimento;ente;protocollo;oggetto;importo;scadenza_pagamento;tipo_destinatario;codice_fiscale;denominazione;pec;indirizzo;\
                  cap;comune;provincia;avviso_numero_1;avviso_creditore_1;avviso_applica_costi_1;documento_file_1;documento_titolo_1;\
                  documento_condiviso_1;eco_1\r\n",
            )?;
            acts.try_for_each(|act| csv(batch, &act, out))
        }
    }
}

fn xml(batch: &Batch, act: &Act, out: &mut dyn Write) -> io::Result<()> {
    let (town, province, zip) = act.place;
    let number = act.number;
    write!(
        out,
        "  <atto>\n    <riferimento>{}</riferimento>\n    <protocollo>PROT/2026/{number:07}</protocollo>\n    \
         <oggetto>Verbale di accertamento n. {number:07}</oggetto>\n    <importo>{}.{:02}</importo>\n    \
         <scadenzaPagamento>2031-12-31</scadenzaPagamento>\n    <destinatari>\n      <destinatario>\n        <tipo>PF</tipo>\n        \
         <codiceFiscale>{}</codiceFiscale>\n        <denominazione>{}</denominazione>\n",
        reference(number),
        number % 400 + 42,
        number % 100,
        act.tax_id,
        act.name,
    )?;
    if let Some(pec) = batch.pec {
        writeln!(out, "        <pec>{pec}</pec>")?;
    }
    write!(
        out,
        "        <indirizzo>\n          <via>{}</via>\n          <cap>{zip}</cap>\n          <comune>{town}</comune>\n          \
         <provincia>{province}</provincia>\n        </indirizzo>\n        <pagamenti>\n          <avviso>\n            \
         <numero>{}</numero>\n            <creditore>{}</creditore>\n            <applicaCosti>true</applicaCosti>\n          \
         </avviso>\n        </pagamenti>\n      </destinatario>\n    </destinatari>\n    <documenti>\n      <documento>\n        \
         <file>{}</file>\n        <titolo>Verbale</titolo>\n",
        act.street,
        notice(number),
        batch.sender,
        act.document,
    )?;
    if batch.shared {
        writeln!(out, "        <condiviso>true</condiviso>")?;
    }
    writeln!(
        out,
        "      </documento>\n    </documenti>\n    <eco>\n      <campo><nome>pratica</nome><valore>{number}</valore></campo>\n    </eco>\n  </atto>"
    )
}

fn csv(batch: &Batch, act: &Act, out: &mut dyn Write) -> io::Result<()> {
    let (town, province, zip) = act.place;
    let number = act.number;
    write!(
        out,
        "{};{};PROT/2026/{number:07};Verbale di accertamento n. {number:07};{},{:02};31/12/2031;PF;{};{};{};{};{zip};{town};{province};{};{};SI;{};\
         Verbale;{};{number}\r\n",
        reference(number),
        batch.sender,
        number % 400 + 42,
        number % 100,
        act.tax_id,
        act.name,
        batch.pec.unwrap_or_default(),
        act.street,
        notice(number),
        batch.sender,
        act.document,
        if batch.shared { "SI" } else { "" },
    )
}

/// Writes the ZIP of a batch, flushed to the disk before it returns. Answers its bytes.
pub fn write_archive(batch: &Batch, path: &Path) -> io::Result<u64> {
    let other = |error: zip::result::ZipError| io::Error::other(error);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let mut zip = ZipWriter::new(BufWriter::with_capacity(1 << 20, File::create(path)?));
    let name = match batch.layout {
        Layout::Xml => "lotto.xml",
        Layout::Csv => "lotto.csv",
    };
    zip.start_file(name, options).map_err(other)?;
    {
        let mut out = BufWriter::with_capacity(1 << 18, &mut zip);
        write_batch(batch, &mut out)?;
        out.flush()?;
    }
    let documents = if batch.shared { 1 } else { batch.acts };
    for number in batch.first..batch.first + documents {
        zip.start_file(act(batch, number).document, options).map_err(other)?;
        zip.write_all(&pdf(number, batch.pdf_bytes))?;
    }
    let file = zip.finish().map_err(other)?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// A PDF of two pages and about `bytes` bytes, nearly all of them an image of noise, as a scan compresses: not at all.
pub fn pdf(number: u64, bytes: usize) -> Vec<u8> {
    const WIDTH: usize = 128;
    let height = bytes.saturating_sub(1_250).div_ceil(WIDTH).max(1);
    let mut out = Vec::with_capacity(bytes + WIDTH);
    let mut offsets = Vec::new();
    let text = format!("q 400 0 0 500 90 200 cm /Im Do Q BT /F 12 Tf 90 740 Td (Verbale di accertamento n. {number:07}) Tj ET\n");
    out.extend_from_slice(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n");
    let page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Resources << /XObject << /Im 6 0 R >> /Font << /F 7 0 R >> >> >>";
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 >>".to_owned(),
        page.to_owned(),
        page.to_owned(),
        format!("<< /Length {} >>\nstream\n{text}endstream", text.len()),
    ];
    for (index, object) in objects.iter().enumerate() {
        offsets.push(out.len());
        out.extend_from_slice(format!("{} 0 obj\n{object}\nendobj\n", index + 1).as_bytes());
    }
    offsets.push(out.len());
    out.extend_from_slice(
        format!(
            "6 0 obj\n<< /Type /XObject /Subtype /Image /Width {WIDTH} /Height {height} /ColorSpace /DeviceGray /BitsPerComponent 8 /Length {} >>\nstream\n",
            WIDTH * height
        )
        .as_bytes(),
    );
    noise(number, WIDTH * height, &mut out);
    out.extend_from_slice(b"\nendstream\nendobj\n");
    offsets.push(out.len());
    out.extend_from_slice(b"7 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>\nendobj\n");
    let table = out.len();
    out.extend_from_slice(format!("xref\n0 {}\n0000000000 65535 f \n", offsets.len() + 1).as_bytes());
    for offset in &offsets {
        out.extend_from_slice(format!("{offset:010} 00000 n \n").as_bytes());
    }
    out.extend_from_slice(format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n", offsets.len() + 1).as_bytes());
    out
}

/// Bytes that no compressor shortens (xorshift64*; `bytes` a multiple of 8).
fn noise(seed: u64, bytes: usize, out: &mut Vec<u8>) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for _ in 0..bytes / 8 {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        out.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::batch::archive::{Ceilings, Hashing};
    use crate::batch::pipeline::{self, Judge, Judged};

    #[test]
    fn what_is_measured_on_is_valid() {
        let folder = tempfile::tempdir().unwrap();
        for (layout, shared) in [(Layout::Xml, false), (Layout::Csv, false), (Layout::Xml, true), (Layout::Csv, true)] {
            let batch = Batch { layout, sender: body(3), first: 25, acts: 40, pdf_bytes: 4 << 10, shared, pec: Some("visione@pec.it") };
            let path = folder.path().join("lotto.zip");
            write_archive(&batch, &path).unwrap();
            let file = File::open(&path).unwrap();
            let ceilings = Ceilings { max_entries: 100, max_entry_bytes: 1 << 20, max_total_bytes: 1 << 30, max_ratio: 200 };
            let opened = pipeline::open(&file, "lotto.zip", &ceilings).unwrap();
            let how = Hashing { count_pages: true, ..Hashing::default() };
            let facts = pipeline::look_into(&file, &opened, "lotto.zip", &how).unwrap();
            assert!(facts.iter().filter_map(|facts| facts.pdf).all(|pdf| pdf.pages == Some(2)), "{layout:?}");
            let judge = Judge { flow: None, senders: None, today: None, max_acts: 100 };
            let mut told = Vec::new();
            let mut sink = |judged: Judged| {
                let (Judged::Bad { problems, .. }
                | Judged::Revoke { problems, .. }
                | Judged::Notice { problems }
                | Judged::Good { warnings: problems, .. }) = judged;
                told.extend(problems.into_iter().map(|problem| problem.code));
                ControlFlow::Continue(())
            };
            let totals = pipeline::judge(&file, &opened, facts, &judge, &mut sink).unwrap();
            assert_eq!((totals.acts, totals.good), (40, 40), "{layout:?} shared {shared}: {told:?}");
            assert!(told.is_empty(), "{layout:?} shared {shared}: {told:?}");
        }
    }

    #[test]
    fn a_pdf_has_the_size_asked_for() {
        for kib in [2usize, 4, 100] {
            let bytes = pdf(7, kib << 10).len();
            assert!(bytes.abs_diff(kib << 10) <= 300, "{kib} KiB: {bytes} bytes");
        }
    }
}
