//! Italian for receipts and for the page inside reject archives.

use crate::domain::outcome::ReceiptState;

/// What a receipt does not do.
pub const NOT_SERVICE: &str = "Questa ricevuta non perfeziona la notifica: attesta soltanto che messo ha ricevuto ed esaminato il file.";

/// What the day of the last send depends on.
pub const FORECAST: &str = "La previsione tiene conto degli orari del flusso, delle chiamate e della spesa concesse ogni giorno all'ente, dei file da \
     caricare e degli atti già in coda.";

/// Said instead of a day.
pub const NEVER_SENT: &str = "Con i limiti di spesa configurati per l'ente gli atti non possono partire: avvisare chi gestisce messo.";

/// Said of a drop made only to see its receipt.
pub const DRY_RUN: &str = "il file era nella cartella di prova: nessun atto viene inviato a SEND.";

/// What the state of a receipt means.
pub fn receipt_state(state: ReceiptState) -> &'static str {
    match state {
        ReceiptState::Taken => "Tutti gli atti del file sono stati presi in carico.",
        ReceiptState::Partial => {
            "Una parte degli atti è stata presa in carico; gli altri sono stati scartati e vanno corretti e depositati di nuovo."
        }
        ReceiptState::Rejected => "Nessun atto è stato preso in carico: il file va corretto e depositato di nuovo.",
        ReceiptState::Duplicate => "Lo stesso contenuto era già stato ricevuto: nessun atto è stato preso in carico una seconda volta.",
    }
}

/// What the page inside a reject archive needs to know.
#[derive(Debug, Clone, Copy)]
pub struct RejectPage<'a> {
    /// Refused acts in the archive.
    pub acts: u64,
    /// Name and id of the drop.
    pub original_name: &'a str,
    pub drop: &'a str,
    /// The batch file inside the archive.
    pub batch_file: &'a str,
    /// Sub-folder of `in/` it came by.
    pub folder: Option<&'a str>,
    /// Documents that the acts name and the drop did not hold.
    pub missing: u64,
}

/// The paragraphs of that page.
pub fn reject_page(page: &RejectPage<'_>) -> Vec<String> {
    let RejectPage { acts, original_name, drop, batch_file, folder, missing } = *page;
    let contained = if acts == 1 { "l'atto scartato".to_owned() } else { format!("i {acts} atti scartati") };
    let folder = folder.map_or_else(|| "in".to_owned(), |folder| format!("in/{folder}"));
    let mut paragraphs = vec![
        format!(
            "Questo archivio contiene {contained} del file «{original_name}» (lotto {drop}), nello stesso tracciato, con i documenti citati."
        ),
        format!(
            "Il file «{batch_file}» riporta, accanto a ogni atto, il codice e il motivo dello scarto. Gli stessi motivi sono nella ricevuta o, \
             per i rifiuti di SEND, nell'esito."
        ),
        "Che cosa fare: correggere i dati o i documenti indicati, ricomporre l'archivio ZIP con gli stessi nomi e depositarlo di nuovo. \
         Codici, motivi e questa pagina possono restare: vengono ignorati."
            .to_owned(),
        format!("Dove: nella cartella «{folder}», come la prima volta."),
    ];
    match missing {
        0 => {}
        1 => paragraphs.push("1 documento citato dagli atti non era nell'archivio originale e va aggiunto.".to_owned()),
        many => paragraphs.push(format!("{many} documenti citati dagli atti non erano nell'archivio originale e vanno aggiunti.")),
    }
    paragraphs.push("Gli eventuali altri atti del file seguono il loro corso: non vanno depositati di nuovo.".to_owned());
    paragraphs
}
