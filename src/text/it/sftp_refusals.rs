//! What an SFTP client shows when a request is refused: one sentence per [`Refused`], followed by its code. `docs/codici.md` is
//! rendered from here.

use crate::intake::sftp::home::Refused;

/// One list for the sentences and for [`ALL`]: a refusal without a sentence does not compile.
macro_rules! sentences {
    ($($refused:ident => $sentence:literal,)*) => {
        /// Every refusal, in the order of `docs/codici.md`.
        pub const ALL: &[Refused] = &[$(Refused::$refused),*];

        /// The sentence of a refusal: what happened, then what to do. The code is added by whoever writes the answer.
        #[must_use]
        pub fn sentence(refused: Refused) -> &'static str {
            match refused {
                $(Refused::$refused => $sentence,)*
            }
        }
    };
}

sentences! {
    NotFound => "Il file o la cartella non esiste: controllare il nome.",
    Outside => "Il percorso esce dalle cartelle del gestionale: usare solo le cartelle che si vedono.",
    ReadOnly => "Questa cartella si può solo leggere: i file si depositano nella cartella in.",
    NotAllowed => "L'operazione non è consentita in questa cartella: chiedere a chi gestisce messo.",
    NameRefused => "Il nome non è ammesso: evitare caratteri di controllo, nomi riservati e il punto o lo spazio finale.",
    NameCollides => "Esiste già un nome uguale salvo maiuscole o accenti: usare un altro nome.",
    AlreadyExists => "Esiste già un file o una cartella con questo nome: usare un altro nome o cancellare quello vecchio.",
    NotAFolder => "Non è una cartella: controllare il percorso.",
    NoFolder => "La cartella di destinazione non esiste: crearla prima (mkdir), poi depositarvi il file.",
    IsAFolder => "È una cartella, non un file: controllare il percorso.",
    FolderNotEmpty => "La cartella non è vuota: cancellare prima il suo contenuto.",
    QuotaBytes => "Lo spazio del gestionale è finito: attendere le ricevute, o cancellare i trasferimenti interrotti, o chiedere più spazio.",
    QuotaFiles => "Il gestionale ha troppi file in attesa: attendere che i depositi siano presi in carico.",
    TooLarge => "Il file è più grande del massimo accettato: dividere il lotto in più archivi.",
    DiskReserve => "Lo spazio libero del server è sotto la riserva: riprovare più tardi.",
    DiskFull => "Il disco del server è pieno: riprovare più tardi e avvisare chi gestisce messo.",
    Incomplete => "Il file non è arrivato tutto: inviarlo di nuovo dall'inizio, o riprenderlo dal punto che si vede.",
    Busy => "Questo file è ancora aperto in scrittura, qui o in un'altra sessione: chiuderlo, o attendere che finisca chi lo scrive.",
    TooManyHandles => "Troppi file o cartelle aperti insieme: chiuderne qualcuno e riprovare.",
    BadHandle => "Il file non è aperto: aprirlo di nuovo e ripetere il trasferimento.",
    WrongMode => "Il file è stato aperto per un altro uso: riaprirlo in lettura o in scrittura.",
    BadMessage => "La richiesta non è corretta: aggiornare il programma SFTP o segnalarlo a chi lo fornisce.",
    Unsupported => "L'operazione non è prevista da questo server: collegamenti e comandi speciali non si usano.",
    AccountExpired => "L'account è scaduto o è stato tolto: chiedere a chi gestisce messo.",
    Stopping => "Il server si sta fermando: riprendere il trasferimento tra qualche minuto.",
    Io => "Il disco del server ha dato un errore: riprovare e, se dura, avvisare chi gestisce messo.",
}

/// The rows of `docs/codici.md` for SFTP.
#[must_use]
pub fn render_codes() -> String {
    let mut out = String::from("\n| codice | frase mostrata dal programma SFTP | stato SFTP |\n|---|---|---|\n");
    for refused in ALL {
        out.push_str(&format!("| `{}` | {} | {} |\n", refused.code(), sentence(*refused), refused.status() as u32));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_one_code_and_says_what_to_do() {
        let mut codes = Vec::new();
        for refused in ALL {
            let (code, text) = (refused.code(), sentence(*refused));
            assert!(code.starts_with("SFTP_") && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{code}");
            assert!(text.ends_with('.') && text.contains(": ") && text.len() < 130, "{code}: {text}");
            assert!(!text.contains(['|', '[', ']']), "{code}: {text}");
            codes.push(code);
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ALL.len(), "two refusals with one code");
    }

    /// To write it anew: `MESSO_SCRIVI_CODICI=1 cargo test --lib text::it::sftp_refusals`.
    #[test]
    fn the_document_lists_every_code() {
        const START: &str = "<!-- sftp: inizio (generati dal programma) -->\n";
        const END: &str = "<!-- sftp: fine -->\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/codici.md");
        let document = std::fs::read_to_string(path).unwrap();
        let (head, rest) = document.split_once(START).unwrap();
        let (table, tail) = rest.split_once(END).unwrap();
        if std::env::var_os("MESSO_SCRIVI_CODICI").is_some() {
            std::fs::write(path, format!("{head}{START}{}{END}{tail}", render_codes())).unwrap();
        } else {
            assert_eq!(table, render_codes(), "docs/codici.md is not what the code says");
        }
    }
}
