//! SEND's own codes (`reference send.md` 4 and 9) in Italian: refusals of the asynchronous validation, then those of its API.

/// One code of SEND.
pub struct Refusal {
    pub code: &'static str,
    /// What it means.
    pub sentence: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

const fn refusal(code: &'static str, sentence: &'static str, remedy: &'static str) -> Refusal {
    Refusal { code, sentence, remedy }
}

const CONFIGURATION: &str = "Avvisare chi gestisce messo: riguarda la configurazione dell'ente, non l'atto.";
const DATA: &str = "Correggere il dato indicato nel dettaglio e depositare di nuovo l'atto.";
const WAIT: &str = "Nessuna azione: messo riprova da solo.";
const PROGRAM: &str = "Avvisare chi gestisce messo, con l'identificativo dell'atto.";

/// Every code known, refusals of the validation first.
pub const REFUSALS: &[Refusal] = &[
    refusal(
        "FILE_NOTFOUND",
        "SEND non trova un documento caricato.",
        "messo ricarica i documenti e invia di nuovo l'atto; se si ripete, avvisare chi lo gestisce.",
    ),
    refusal(
        "FILE_GONE",
        "Un documento caricato su SEND è scaduto prima dell'invio.",
        "messo ricarica i documenti e invia di nuovo l'atto; se si ripete, avvisare chi lo gestisce.",
    ),
    refusal(
        "FILE_SHA_ERROR",
        "L'impronta di un documento ricevuto da SEND è diversa da quella dichiarata.",
        "messo ricarica i documenti e invia di nuovo l'atto; se si ripete, avvisare chi lo gestisce.",
    ),
    refusal("FILE_PDF_INVALID_ERROR", "Un documento non è un PDF valido per SEND.", "Rigenerare il PDF e depositare di nuovo l'atto."),
    refusal(
        "FILE_PDF_TOOBIG_ERROR",
        "Un documento supera la dimensione ammessa da SEND (200 MB).",
        "Ridurre il PDF e depositare di nuovo l'atto.",
    ),
    refusal(
        "F24_METADATA_NOT_VALID",
        "I metadati F24 non sono validi per SEND.",
        "Correggere il JSON dell'F24 e depositare di nuovo l'atto.",
    ),
    refusal(
        "NOT_VALID_ADDRESS",
        "SEND non riconosce l'indirizzo del destinatario.",
        "Verificare via, CAP, comune e provincia (il dettaglio dice il motivo) e depositare di nuovo l'atto.",
    ),
    refusal(
        "TAXID_NOT_VALID",
        "Il codice fiscale del destinatario non risulta all'anagrafe tributaria.",
        "Verificare il codice fiscale e depositare di nuovo l'atto.",
    ),
    refusal(
        "PAYMENT_NOT_VALID",
        "L'avviso di pagamento non è valido per l'aggiornamento automatico dei costi.",
        "Verificare la posizione debitoria presso il partner tecnologico (deve esistere prima dell'invio) e il costo dell'ente.",
    ),
    refusal(
        "ADDRESS_NOT_FOUND",
        "SEND non ha trovato un indirizzo del destinatario nei registri.",
        "Indicare l'indirizzo nella riga e depositare di nuovo l'atto.",
    ),
    refusal(
        "ADDRESS_SEARCH_FAILED",
        "La ricerca dell'indirizzo da parte di SEND non è riuscita per motivi tecnici.",
        "Depositare di nuovo l'atto, o indicare l'indirizzo nella riga.",
    ),
    refusal(
        "SENDER_DISABLED_MORE_THAN_20_GRAMS",
        "L'ente non è abilitato all'invio oltre 20 grammi.",
        "Ridurre le pagine o togliere gli allegati di pagamento, oppure chiedere l'abilitazione a SEND.",
    ),
    refusal(
        "RECIPIENT_ID_NOT_VALID",
        "SEND non accetta l'identificativo del destinatario.",
        "Verificare il codice fiscale del destinatario.",
    ),
    refusal("SERVICE_UNAVAILABLE", "SEND non era disponibile durante la validazione.", "Depositare di nuovo l'atto più tardi."),
    // the API
    refusal("PN_GENERIC_INVALIDPARAMETER", "SEND non accetta un dato della richiesta.", DATA),
    refusal("PN_GENERIC_INVALIDPARAMETER_REQUIRED", "Manca un dato obbligatorio per SEND.", DATA),
    refusal("PN_GENERIC_INVALIDPARAMETER_PATTERN", "Un dato non ha la forma voluta da SEND.", DATA),
    refusal("PN_GENERIC_INVALIDPARAMETER_SIZE", "Un dato è troppo lungo o troppo corto per SEND.", DATA),
    refusal("PN_GENERIC_INVALIDPARAMETER_MAX", "Un valore supera il massimo ammesso da SEND.", DATA),
    refusal("PN_GENERIC_INVALIDPARAMETER_MIN", "Un valore è sotto il minimo ammesso da SEND.", DATA),
    refusal("PN_GENERIC_INVALIDPARAMETER_ASSERTENUM", "Un valore non è tra quelli ammessi da SEND.", DATA),
    refusal(
        "PN_GENERIC_INVALIDPARAMETER_DUPLICATED",
        "Il protocollo o l'avviso di pagamento è già usato da un'altra notifica.",
        "Annullare l'altra notifica, o emettere un nuovo avviso, e depositare di nuovo l'atto.",
    ),
    refusal(
        "PN_GENERIC_INVALIDPARAMETER_TAXONOMYCODE",
        "Il codice tassonomico non è tra quelli di SEND.",
        "Correggere il codice tassonomico nel flusso.",
    ),
    refusal("PN_GENERIC_TOO_MANY_REQUESTS", "SEND ha ricevuto troppe richieste in poco tempo.", WAIT),
    refusal("PN_DELIVERY_SEND_IS_DISABLED", "L'invio su SEND è sospeso per l'ente o per tutti.", CONFIGURATION),
    refusal("PN_DELIVERY_INVALID_SENDER_TAX_ID", "Il codice fiscale dell'ente non è quello della chiave di SEND.", CONFIGURATION),
    refusal("PN_DELIVERY_INVALIDPARAMETER_GROUP", "Il gruppo non è valido per la chiave di SEND.", CONFIGURATION),
    refusal(
        "PN_DELIVERY_NOTIFICATION_LIMIT_EXCEEDED",
        "L'ente ha raggiunto il numero di notifiche previsto per il mese.",
        "Attendere il mese nuovo o chiedere a SEND di alzare il limite; gli atti restano in attesa.",
    ),
    refusal("PN_DELIVERY_NOTIFICATIONNOTFOUND", "SEND non conosce la notifica, o non è dell'ente.", PROGRAM),
    refusal("PN_DELIVERY_FILEINFONOTFOUND", "SEND non trova il documento richiesto.", PROGRAM),
    refusal(
        "PN_DELIVERY_NOTIFICATIONCOSTNOTFOUND",
        "SEND non conosce il costo di questo avviso.",
        "Verificare che la notifica sia stata accettata e non annullata.",
    ),
    refusal(
        "PN_DELIVERY_NOTIFICATIONWITHOUTPAYMENTATTACHMENT",
        "La notifica non ha l'allegato di pagamento richiesto.",
        "Nessuna azione: l'avviso è stato inviato senza PDF.",
    ),
    refusal("PN_DELIVERY_INVALIDADDITIONALLANGS", "La lingua aggiuntiva non è ammessa da SEND.", "Usare DE, SL o FR, una sola."),
    refusal(
        "PN_DELIVERY_REQUIREDADDITIONALLANG",
        "SEND vuole per l'ente una lingua aggiuntiva.",
        "Indicare la lingua (DE, SL o FR) e depositare di nuovo l'atto.",
    ),
    refusal("PN_DELIVERY_ADECHECKCF", "La verifica del codice fiscale all'Agenzia delle Entrate non era disponibile.", WAIT),
    refusal("PN_WEBHOOK_FORBIDDEN", "La chiave dell'ente non può leggere gli avanzamenti.", CONFIGURATION),
    refusal("PN_WEBHOOK_NOT_FOUND", "SEND non trova il flusso degli avanzamenti.", WAIT),
    refusal(
        "PN_WEBHOOK_MAXSTREAMSCOUNTREACHED",
        "L'ente ha già il numero massimo di flussi di avanzamento.",
        "Disattivare su SEND un flusso non più usato.",
    ),
    refusal("PN_STREAM_RETRY_AFTER_ERROR", "Gli avanzamenti sono stati chiesti troppo presto.", WAIT),
];

fn find(code: &str) -> Option<&'static Refusal> {
    REFUSALS.iter().find(|refusal| refusal.code == code)
}

/// What a code of SEND means, in one Italian sentence.
pub fn refusal_sentence(code: &str) -> Option<&'static str> {
    find(code).map(|refusal| refusal.sentence)
}

/// What to do about a code of SEND.
pub fn refusal_remedy(code: &str) -> Option<&'static str> {
    find(code).map(|refusal| refusal.remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_once_with_whole_sentences() {
        for (index, refusal) in REFUSALS.iter().enumerate() {
            let first = REFUSALS.iter().position(|other| other.code == refusal.code);
            assert_eq!(first, Some(index), "{}", refusal.code);
            assert!(refusal.sentence.ends_with('.') && refusal.remedy.ends_with('.'), "{}", refusal.code);
        }
        assert!(refusal_sentence("NOT_VALID_ADDRESS").is_some() && refusal_remedy("FILE_GONE").is_some());
        assert_eq!(refusal_sentence("MAI_VISTO"), None);
    }
}
