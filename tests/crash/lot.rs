//! Batches made by a test: messo CSV 1.0 with one PDF per act, zipped.

#![allow(dead_code, reason = "each test uses its own part")]

use crate::common::zip_entries;

/// Columns that the acts of these tests fill in.
const COLUMNS: [&str; 18] = [
    "riferimento",
    "ente",
    "azione",
    "protocollo",
    "oggetto",
    "tipo_destinatario",
    "codice_fiscale",
    "denominazione",
    "pec",
    "indirizzo",
    "cap",
    "comune",
    "provincia",
    "avviso_numero_1",
    "avviso_creditore_1",
    "avviso_applica_costi_1",
    "documento_file_1",
    "importo",
];

/// Invented people.
const PEOPLE: [(&str, &str); 2] = [("RSSMRA80A01H501U", "Mario Rossi"), ("BNCLRA85D41F205R", "Laura Bianchi")];

/// What happens to a recipient: words that the simulator reads in the address or in the PEC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Story {
    /// Before the street.
    pub street: &'static str,
    pub pec: &'static str,
}

/// A story told by the address.
pub const fn by_address(street: &'static str) -> Story {
    Story { street, pec: "" }
}

/// A story told by the PEC.
pub const fn by_pec(pec: &'static str) -> Story {
    Story { street: "Via Roma 1", pec }
}

pub const DELIVERED: Story = by_address("Via Roma 1");
pub const SEEN: Story = by_pec("visione@pec.it");
pub const UNREACHABLE: Story = by_address("Via @FAIL-Irreperibile_AR 1");
/// SEND refuses the request, within minutes.
pub const REFUSED: Story = by_address("Via @FAIL-INDIRIZZO 1");

/// One act of a batch: a row per recipient.
#[derive(Debug, Clone)]
pub struct Act {
    pub reference: String,
    pub action: &'static str,
    pub protocol: String,
    pub stories: Vec<Story>,
    /// A notice for the first recipient, 17 digits after the first `3`.
    pub notice: Option<u64>,
    /// What the act asks for, as Italians write it.
    pub amount: Option<&'static str>,
    /// Its PDF is not in the archive: refused by messo.
    pub without_pdf: bool,
    /// A tax id that is no tax id: refused by messo, its PDF copied to the reject.
    pub wrong_tax_id: bool,
    /// Told in the PDF, so that two versions of one act differ.
    pub version: u32,
}

impl Act {
    pub fn new(reference: impl Into<String>, story: Story) -> Act {
        let reference = reference.into();
        Act {
            protocol: format!("PROT-{reference}"),
            reference,
            action: "inserisci",
            stories: vec![story],
            notice: None,
            amount: None,
            without_pdf: false,
            wrong_tax_id: false,
            version: 1,
        }
    }

    /// An order about an act that is known already.
    pub fn order(reference: &str, action: &'static str) -> Act {
        Act { action, stories: Vec::new(), protocol: String::new(), ..Act::new(reference, DELIVERED) }
    }

    fn pdf_name(&self) -> String {
        format!("atti/{}.pdf", self.reference.to_lowercase())
    }

    /// Number of the notice, as printed.
    fn notice_code(&self) -> String {
        self.notice.map_or_else(String::new, notice_code)
    }
}

/// An 18-digit notice with its check digits (mod 93 over the auxiliary digit and the IUV).
pub fn notice_code(number: u64) -> String {
    let base = format!("302{number:013}");
    let remainder: u64 = base.bytes().fold(0, |rest, digit| (rest * 10 + u64::from(digit - b'0')) % 93);
    format!("{base}{remainder:02}")
}

/// A batch on its way into `in/`.
#[derive(Debug, Clone, Default)]
pub struct Lot {
    pub sender: String,
    pub acts: Vec<Act>,
}

impl Lot {
    pub fn of(sender: &str, acts: Vec<Act>) -> Lot {
        Lot { sender: sender.to_owned(), acts }
    }

    /// `lotto.csv`.
    pub fn csv(&self) -> String {
        let mut text = COLUMNS.join(";") + "\r\n";
        for act in &self.acts {
            if act.stories.is_empty() {
                text += &self.row(act, None);
            }
            for (index, story) in act.stories.iter().enumerate() {
                text += &self.row(act, Some((index, *story)));
            }
        }
        text
    }

    fn row(&self, act: &Act, recipient: Option<(usize, Story)>) -> String {
        let mut cells = vec![act.reference.clone(), self.sender.clone(), act.action.to_owned(), act.protocol.clone()];
        match recipient {
            None => cells.resize(COLUMNS.len(), String::new()),
            Some((index, story)) => {
                let (tax_id, name) = PEOPLE[index % PEOPLE.len()];
                let tax_id = if act.wrong_tax_id { "RSSMRA80A01H501X" } else { tax_id };
                let notice = if index == 0 { act.notice_code() } else { String::new() };
                let of_notice = |value: &str| if notice.is_empty() { String::new() } else { value.to_owned() };
                cells.extend(["Atto di prova", "PF", tax_id, name, story.pec, story.street, "00184", "ROMA", "RM"].map(str::to_owned));
                cells.extend([
                    notice.clone(),
                    of_notice(&self.sender),
                    of_notice("SI"),
                    act.pdf_name(),
                    act.amount.unwrap_or_default().to_owned(),
                ]);
            }
        }
        cells.join(";") + "\r\n"
    }

    /// The whole archive.
    pub fn zip(&self) -> Vec<u8> {
        let csv = self.csv();
        let pdfs: Vec<(String, Vec<u8>)> = self
            .acts
            .iter()
            .filter(|act| !act.stories.is_empty() && !act.without_pdf)
            .map(|act| (act.pdf_name(), pdf(&format!("{} v{}", act.reference, act.version))))
            .collect();
        let entries = std::iter::once(("lotto.csv", csv.as_bytes()));
        zip_entries(entries.chain(pdfs.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))))
    }
}

/// A valid PDF of one page that says `text`.
pub fn pdf(text: &str) -> Vec<u8> {
    let content = format!("BT /F1 12 Tf 72 720 Td ({text}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut out = String::from("%PDF-1.4\n");
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(out.len());
        out += &format!("{} 0 obj\n{object}\nendobj\n", index + 1);
    }
    let start = out.len();
    out += &format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for offset in &offsets {
        out += &format!("{offset:010} 00000 n \n");
    }
    out += &format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1);
    out.into_bytes()
}
