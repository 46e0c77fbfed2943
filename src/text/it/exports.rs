//! What `messo export verify` says.

/// Why a file of a folder of exports deserves a look: its code decides the sentence.
pub fn sentence(code: &str, about: &str) -> String {
    match code {
        "INIZIO" => format!("la cartella comincia dal numero {about}: i precedenti non sono qui"),
        "MANCANTE" => "manca".to_owned(),
        "ALTERATA" => format!("non è più quella pubblicata: la sua impronta non è quella che riporta {about}"),
        "TOTALI_ERRATI" => format!("le righe non danno il totale «{about}»: il file è stato cambiato"),
        _ => "non è una rendicontazione intera, o il numero non è quello del nome".to_owned(),
    }
}

/// The last line.
pub fn verified(files: u64, exports: u64, findings: usize) -> String {
    match (exports, findings) {
        (0, _) => "Nessuna rendicontazione nella cartella.".to_owned(),
        (_, 0) => format!("{exports} rendicontazioni, {files} file: nessuna manca, nessuna è cambiata, i totali tornano."),
        (_, found) => format!("{exports} rendicontazioni, {files} file; da guardare: {found}."),
    }
}
