//! What MyPay's `faultCode`s mean (the codes of its source, `fault-codes.csv`).

use crate::connectors::ConnectorError;
use crate::connectors::pt::call::{problem, temporary};

/// What a fault says of the debt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Unknown,
    NotBegun,
    BeingPaid,
    Paid,
    Cancelled,
    Expired,
    /// Not payable, or twice there: nothing says which.
    Stuck,
    /// Who calls: what a wrong password gives too.
    Sender,
    /// The data, the ente's state, its due types: of one position, or of one ente among those of the PT.
    Refused,
    /// MyPay itself: `true`, it may have been at work.
    Remote(bool),
    /// The operation is not there.
    NotThere,
    Other,
}

/// Reads a code.
pub(super) fn read(code: &str) -> Fault {
    match code {
        "PAA_IUV_NON_VALIDO"
        | "PAA_IUD_NON_VALIDO"
        | "PAA_DATI_NON_TROVATI"
        | "PAA_PAGAMENTO_SCONOSCIUTO"
        | "PAA_ERROR_NESSUN_DOVUTO_TROVATO"
        | "PAA_RPT_SCONOSCIUTA"
        | "PAA_RPT_NON_PRESENTE" => Fault::Unknown,
        "PAA_PAGAMENTO_NON_INIZIATO" | "PAA_RT_NON_PRESENTE" => Fault::NotBegun,
        "PAA_PAGAMENTO_IN_CORSO" => Fault::BeingPaid,
        "PAA_PAGAMENTO_DUPLICATO" | "PAA_RT_GIA_PRESENTE" | "PAA_RT_DUPLICATA" => Fault::Paid,
        "PAA_PAGAMENTO_ANNULLATO" => Fault::Cancelled,
        "PAA_PAGAMENTO_SCADUTO" | "PAA_IUV_SCADUTO" => Fault::Expired,
        "PAA_DOVUTO_NON_PAGABILE"
        | "PAA_IUD_DUPLICATO"
        | "PAA_IUV_DUPLICATO"
        | "PAA_IMPORT_IUD_DUPLICATO"
        | "PAA_NUMERO_DOVUTI_PER_IUV_NON_VALIDO" => Fault::Stuck,
        "PAA_ENTE_NON_VALIDO" => Fault::Sender,
        "PAA_STATO_ENTE_NON_VALIDO"
        | "PAA_ID_DOMINIO_ERRATO"
        | "PAA_IDENTIFICATIVO_TIPO_DOVUTO_NON_ABILITATO"
        | "PAA_TIPO_DOVUTO_NON_ABILITATO_PER_ENTE"
        | "PAA_ANAGRAFICA_NON_VALIDA"
        | "PAA_CAUSALE_NON_PRESENTE"
        | "PAA_CODICE_FISCALE_NON_VALIDO"
        | "PAA_P_IVA_NON_VALIDO"
        | "PAA_CODICE_IDENTIFICATIVO_PAGATORE_NON_PRESENTE"
        | "PAA_TIPO_IDENTIFICATIVO_PAGATORE_NON_VALIDO"
        | "PAA_SOGG_PAG_NON_VALORIZZATO"
        | "PAA_DATI_SPECIFICI_RISCOSSIONE_NON_VALIDO"
        | "PAA_IDENTIFICATIVO_TIPO_DOVUTO_NON_VALIDO"
        | "PAA_IDENTIFICATIVO_TIPO_DOVUTO_NON_INSERITO"
        | "PAA_IDENT_TIPO_DOVUTO_NON_PRESENTE"
        | "PAA_TIPO_DOVUTO_NON_VALIDO_PER_ENTE"
        | "PAA_TIPO_VERSAMENTO_ERRATO"
        | "PAA_TIPO_VERSAMENTO_NON_VALIDO"
        | "PAA_IMPORTO_BILANCIO_NON_VALIDO"
        | "PAA_IMPORTO_SINGOLO_VERSAMENTO_NON_VALIDO" => Fault::Refused,
        "PAA_ATTESA_ELABORAZIONE" | "PAA_WAIT" | "PAA_NOT_INVOKED" => Fault::Remote(false),
        "PAA_SYSTEM_ERROR" | "PAA_IMPORT_ERROR" | "PAA_IMPORT_ERRORE_GENERICO" | "PAA_ERROR_ELABORAZIONE" => Fault::Remote(true),
        "PAA_SERVIZIO_NON_IMPLEMENTATO" => Fault::NotThere,
        _ => Fault::Other,
    }
}

/// The error of a code, where nothing better is known of the call. `writes`: it was to change something.
pub(super) fn verdict(code: &str, writes: bool) -> ConnectorError {
    // Codes go to logs and esiti: nothing else may come in by this way.
    let code =
        if code.len() <= 80 && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') { code } else { "PAA" };
    let said = problem(200, code);
    match read(code) {
        Fault::Unknown => ConnectorError::NotFound(said),
        Fault::BeingPaid | Fault::Paid | Fault::Cancelled | Fault::Expired | Fault::Stuck => ConnectorError::Conflict(said),
        Fault::Sender => ConnectorError::Sender(said),
        Fault::Refused => ConnectorError::Refused(said),
        Fault::Remote(true) if writes => ConnectorError::Uncertain { what: code.to_owned() },
        Fault::Remote(_) => temporary(code.to_owned(), None),
        Fault::NotBegun | Fault::NotThere | Fault::Other => ConnectorError::Unclassified(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_is_next() {
        let table = [
            ("PAA_IUV_NON_VALIDO", true, "not found (200 PAA_IUV_NON_VALIDO)"),
            ("PAA_PAGAMENTO_IN_CORSO", true, "conflict: 200 PAA_PAGAMENTO_IN_CORSO"),
            ("PAA_PAGAMENTO_ANNULLATO", true, "conflict: 200 PAA_PAGAMENTO_ANNULLATO"),
            ("PAA_PAGAMENTO_SCADUTO", false, "conflict: 200 PAA_PAGAMENTO_SCADUTO"),
            ("PAA_IUD_DUPLICATO", true, "conflict: 200 PAA_IUD_DUPLICATO"),
            ("PAA_ENTE_NON_VALIDO", true, "sender refused: 200 PAA_ENTE_NON_VALIDO"),
            ("PAA_STATO_ENTE_NON_VALIDO", true, "refused: 200 PAA_STATO_ENTE_NON_VALIDO"),
            ("PAA_IDENTIFICATIVO_TIPO_DOVUTO_NON_ABILITATO", true, "refused: 200 PAA_IDENTIFICATIVO_TIPO_DOVUTO_NON_ABILITATO"),
            ("PAA_TIPO_DOVUTO_NON_ABILITATO_PER_ENTE", true, "refused: 200 PAA_TIPO_DOVUTO_NON_ABILITATO_PER_ENTE"),
            ("PAA_IMPORTO_BILANCIO_NON_VALIDO", true, "refused: 200 PAA_IMPORTO_BILANCIO_NON_VALIDO"),
            ("PAA_SYSTEM_ERROR", true, "uncertain (PAA_SYSTEM_ERROR)"),
            ("PAA_SYSTEM_ERROR", false, "temporary (PAA_SYSTEM_ERROR)"),
            ("PAA_WAIT", true, "temporary (PAA_WAIT)"),
            ("PAA_MAI_VISTO", true, "refused for an unknown reason: 200 PAA_MAI_VISTO"),
            ("Rossi Mario", true, "refused for an unknown reason: 200 PAA"),
        ];
        for (code, writes, want) in table {
            let said = verdict(code, writes).to_string();
            let said = if said == "not found" { format!("not found (200 {code})") } else { said };
            assert_eq!(said, want, "{code} {writes}");
        }
    }
}
