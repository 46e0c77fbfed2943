//! Italian for what the esiti say: states, events, postal and PEC codes, causes of failure, refusals, legal facts.
//!
//! The codes are SEND's and stay open: an unknown one gets a sentence that says so, and the code beside it is what counts.
//! Sources: `reference send.md` 4, 5, 8 and the descriptions of `SendAnalogFeedbackDetailsV25` in the stream API.

use crate::domain::outcome::{OutcomeState, Perfection};
use crate::domain::send::RefusalReason;

/// A code and its sentence.
pub type Entry = (&'static str, &'static str);

/// What the state of an act means.
pub fn state(state: OutcomeState) -> &'static str {
    match state {
        OutcomeState::Taken => "Preso in carico da messo, non ancora inviato a SEND",
        OutcomeState::Held => "In attesa dell'orario di invio o del rilascio di un operatore",
        OutcomeState::Parked => "Sospeso: serve l'intervento di una persona",
        OutcomeState::Sent => "Inviato a SEND, in attesa di accettazione",
        OutcomeState::Accepted => "Accettato da SEND: notifica perfezionata per il mittente",
        OutcomeState::Refused => "Rifiutato: l'atto non è stato notificato",
        OutcomeState::Delivering => "Consegna in corso",
        OutcomeState::Delivered => "Consegnato",
        OutcomeState::Unreachable => "Destinatario irreperibile: avviso depositato",
        OutcomeState::Completed => "Notifica perfezionata per il destinatario",
        OutcomeState::ReturnedToSender => "Reso al mittente: destinatario deceduto",
        OutcomeState::Cancelling => "Annullamento richiesto, in attesa di conferma di SEND",
        OutcomeState::Cancelled => "Annullato",
        OutcomeState::Modified => "Modificato su richiesta del gestionale prima dell'invio a SEND",
        OutcomeState::Info => "Informazione: lo stato dell'atto non cambia",
    }
}

/// How the notification was completed for a recipient.
pub fn perfection(perfection: Perfection) -> &'static str {
    match perfection {
        Perfection::Viewed => "per visione da parte del destinatario",
        Perfection::Refinement => "per decorrenza dei termini",
    }
}

/// What an event means: an element of SEND's timeline or an event of messo.
pub fn event(code: &str) -> &'static str {
    match look(EVENTS, code) {
        Some(sentence) => sentence,
        None => match code.parse::<OutcomeState>() {
            Ok(own) => state(own),
            Err(()) => "Evento di SEND non ancora descritto in questa versione di messo",
        },
    }
}

/// What a `deliveryDetailCode` means.
pub fn delivery_detail(code: &str) -> &'static str {
    look(DELIVERY_DETAILS, code).unwrap_or("Codice di consegna non ancora descritto in questa versione di messo")
}

/// What a `deliveryFailureCause` means (for PEC it repeats a code of delivery).
pub fn failure_cause(code: &str) -> &'static str {
    let known = look(FAILURE_CAUSES, code).or_else(|| look(DELIVERY_DETAILS, code));
    known.unwrap_or("Causa non ancora descritta in questa versione di messo")
}

/// Why SEND refused an act. `None`: not a code of SEND that is known.
pub fn refusal(code: &str) -> Option<&'static str> {
    look(REFUSALS, code)
}

/// Said of a refusal with a code that nobody has a sentence for.
pub const REFUSAL_UNKNOWN: &str = "SEND ha rifiutato l'atto con un codice non ancora descritto in questa versione di messo.";

/// One reason of a refusal in words: the sentence of its code, what it is about, and what SEND itself wrote.
pub fn refusal_words(reason: &RefusalReason, sentence: Option<&str>) -> String {
    let mut words = sentence.unwrap_or(REFUSAL_UNKNOWN).to_owned();
    match (reason.rec_index.map(|index| u64::from(index) + 1), &reason.element) {
        (Some(recipient), Some(element)) => words.push_str(&format!(" Destinatario {recipient}, campo {element}.")),
        (Some(recipient), None) => words.push_str(&format!(" Destinatario {recipient}.")),
        (None, Some(element)) => words.push_str(&format!(" Campo {element}.")),
        (None, None) => {}
    }
    if let Some(detail) = &reason.detail {
        words.push_str(&format!(" SEND scrive: «{detail}»"));
    }
    words
}

/// Said of a code that nobody has a sentence for.
pub const REASON_UNKNOWN: &str = "Si veda il codice nella documentazione";

/// What a category of legal fact is.
pub fn legal_fact(category: &str) -> &'static str {
    look(LEGAL_FACTS, category).unwrap_or("Attestazione di una categoria non ancora descritta in questa versione di messo")
}

/// Binary search: the tables are sorted by code (a test says so).
fn look(table: &'static [Entry], code: &str) -> Option<&'static str> {
    let at = table.binary_search_by_key(&code, |entry| entry.0).ok()?;
    table.get(at).map(|entry| entry.1)
}

/// Categories of the timeline (`TimelineElementCategoryV28`), sorted.
pub const EVENTS: &[Entry] = &[
    ("AAR_CREATION_REQUEST", "Richiesta la creazione dell'avviso di avvenuta ricezione"),
    ("AAR_GENERATION", "Creato l'avviso di avvenuta ricezione"),
    ("ANALOG_FAILURE_WORKFLOW", "Tentativi di consegna su carta conclusi senza esito positivo"),
    ("ANALOG_SUCCESS_WORKFLOW", "Consegna su carta conclusa"),
    ("ANALOG_WORKFLOW_RECIPIENT_DECEASED", "Il recapitista segnala che il destinatario è deceduto"),
    ("ANNULLAMENTO_CHIESTO", "Annullamento ordinato: viene chiesto a SEND"),
    ("ANNULLAMENTO_IN_ATTESA", "Annullamento ricordato: si esegue appena si sa se SEND ha la notifica"),
    ("ATTESTAZIONE", "Attestazione di SEND disponibile nella cartella attestazioni"),
    ("AVVISO_NON_PAGABILE", "L'avviso non si può pagare come scritto nell'atto: nulla è stato inviato a SEND"),
    ("COMPLETELY_UNREACHABLE", "Destinatario irreperibile: avviso depositato"),
    ("COMPLETELY_UNREACHABLE_CREATION_REQUEST", "Richiesta l'attestazione di deposito per irreperibilità"),
    ("COSTO", "Costo di notifica che SEND aggiunge al pagamento del cittadino"),
    ("DIGITAL_DELIVERY_CREATION_REQUEST", "Richiesta l'attestazione della consegna digitale"),
    ("DIGITAL_FAILURE_WORKFLOW", "Tentativi di consegna digitale conclusi senza esito positivo"),
    ("DIGITAL_SUCCESS_WORKFLOW", "Consegna digitale conclusa"),
    ("GET_ADDRESS", "Verificata la presenza di un indirizzo"),
    ("IMPORTO_AGGIORNATO", "Importo che l'avviso chiede da questo momento in poi"),
    ("NORMALIZED_ADDRESS", "Indirizzo normalizzato da SEND"),
    ("NOTIFICATION_CANCELLATION_REQUEST", "Richiesta di annullamento ricevuta da SEND"),
    ("NOTIFICATION_CANCELLED", "Notifica annullata"),
    ("NOTIFICATION_RADD_RETRIEVED", "Copia dell'atto ritirata presso uno sportello: non perfeziona la notifica"),
    ("NOTIFICATION_TIMELINE_REWORKED", "Esiti postali corretti da SEND: gli eventi precedenti sono stati ricalcolati"),
    ("NOTIFICATION_VIEWED", "Il destinatario ha aperto l'atto"),
    ("NOTIFICATION_VIEWED_CREATION_REQUEST", "Richiesta l'attestazione di accesso del destinatario"),
    ("NOT_HANDLED", "Spedizione su carta non gestita da SEND"),
    ("ORDINE_RESPINTO", "L'ordine del gestionale non è più possibile"),
    ("PAGATO", "Avviso pagato: i suoi importi non cambiano più"),
    ("PAYMENT", "Pagamento registrato: non perfeziona la notifica"),
    ("POSIZIONE_ANNULLATA", "L'avviso è annullato presso il partner tecnologico, con il suo atto: non si può più pagare"),
    ("POSIZIONE_FERMA", "L'importo dell'avviso non si aggiorna più: serve una persona"),
    ("POSIZIONE_NON_GESTITA", "Il partner tecnologico dell'avviso non è gestito: messo non ne verifica lo IUV e non ne aggiorna l'importo"),
    ("POSIZIONE_RIPRESA", "L'importo dell'avviso si aggiorna di nuovo"),
    ("PREPARE_ANALOG_DOMICILE", "In preparazione la spedizione su carta"),
    ("PREPARE_ANALOG_DOMICILE_FAILURE", "Impossibile preparare la spedizione su carta: manca un indirizzo utilizzabile"),
    ("PREPARE_DIGITAL_DOMICILE", "In preparazione l'invio digitale"),
    ("PREPARE_SIMPLE_REGISTERED_LETTER", "In preparazione la raccomandata semplice"),
    ("PROBABLE_SCHEDULING_ANALOG_DATE", "Indicata la data prima della quale la spedizione su carta non parte"),
    ("PUBLIC_REGISTRY_CALL", "Richiesto un recapito ai registri pubblici"),
    ("PUBLIC_REGISTRY_RESPONSE", "Ricevuta la risposta dei registri pubblici"),
    ("PUBLIC_REGISTRY_VALIDATION_CALL", "Richiesto l'indirizzo del destinatario ai registri pubblici"),
    ("PUBLIC_REGISTRY_VALIDATION_RESPONSE", "Ricevuto l'indirizzo del destinatario dai registri pubblici"),
    ("REFINEMENT", "Notifica perfezionata per decorrenza dei termini"),
    (
        "REINVIO_ANNULLATO",
        "L'atto, rifiutato da SEND per un motivo tecnico, stava per essere inviato di nuovo: l'annullamento lo ha impedito",
    ),
    ("REQUEST_ACCEPTED", "Richiesta accettata da SEND: notifica perfezionata per il mittente"),
    ("REQUEST_REFUSED", "Richiesta rifiutata da SEND"),
    ("RETTIFICA", "Rettifica della riga indicata, per quanto SEND ha comunicato dopo"),
    ("RILASCIATO", "Rilasciato: l'atto va a SEND"),
    ("RIPRESO", "Ripreso da un operatore dopo una sospensione"),
    ("RITIRATO", "Annullato prima di essere inviato a SEND"),
    ("SCHEDULE_ANALOG_WORKFLOW", "Pianificata la consegna su carta"),
    ("SCHEDULE_DIGITAL_WORKFLOW", "Pianificata la consegna digitale"),
    ("SCHEDULE_REFINEMENT", "Pianificato il perfezionamento per decorrenza dei termini"),
    ("SENDER_ACK_CREATION_REQUEST", "Richiesta l'attestazione di presa in carico"),
    ("SEND_ANALOG_DOMICILE", "Affidata al recapitista la spedizione su carta"),
    ("SEND_ANALOG_FEEDBACK", "Ricevuto l'esito della spedizione su carta"),
    ("SEND_ANALOG_PROGRESS", "Avanzamento della spedizione su carta"),
    ("SEND_COURTESY_MESSAGE", "Inviato un messaggio di cortesia al destinatario"),
    ("SEND_DIGITAL_DOMICILE", "Inviata la comunicazione al domicilio digitale"),
    ("SEND_DIGITAL_FEEDBACK", "Ricevuto l'esito dell'invio digitale"),
    ("SEND_DIGITAL_PROGRESS", "Avanzamento dell'invio digitale"),
    ("SEND_SIMPLE_REGISTERED_LETTER", "Affidata al recapitista la raccomandata semplice"),
    ("SEND_SIMPLE_REGISTERED_LETTER_PROGRESS", "Avanzamento della raccomandata semplice"),
    ("SENZA_CATEGORIA", "Evento di SEND senza categoria: conservato, da verificare"),
    ("TERMINI_RIPRESI", "I termini di pagamento riprendono a decorrere"),
    ("TERMINI_SOSPESI", "I termini di pagamento sono sospesi"),
    ("VALIDATE_NORMALIZE_ADDRESSES_REQUEST", "Richiesta la verifica degli indirizzi"),
    ("VERIFICA_AVVISO", "Il partner tecnologico dice altro dall'atto: l'atto prosegue"),
];

/// `deliveryDetailCode` of paper (AR: RECRN, 890: RECAG, abroad: RECRI, simple: RECRS and RECRSI, all: CON) and of PEC, sorted.
pub const DELIVERY_DETAILS: &[Entry] = &[
    ("C000", "Comunicazione con il gestore PEC riuscita"),
    ("C001", "PEC accettata dal gestore del mittente"),
    ("C002", "PEC non accettata dal gestore del mittente"),
    ("C003", "PEC consegnata nella casella del destinatario"),
    ("C004", "PEC non consegnata: errore di consegna"),
    ("C005", "PEC presa in carico dal gestore"),
    ("C006", "PEC non consegnata: rilevato un virus"),
    ("C007", "PEC: preavviso di mancata consegna"),
    ("C008", "Errore di comunicazione con il gestore PEC: SEND ritenta"),
    ("C009", "Indirizzo PEC con dominio non valido"),
    ("C010", "Errore di invio della PEC: SEND ritenta"),
    ("CON010", "Distinta elettronica inviata al recapitista"),
    ("CON011", "Distinta elettronica chiusa"),
    ("CON012", "Distinta elettronica accettata dal recapitista"),
    ("CON016", "Consegna al recapitista in preparazione"),
    ("CON018", "Plico accettato dal recapitista"),
    ("CON020", "Disponibile l'originale dell'avviso stampato, firmato digitalmente"),
    ("CON080", "Plico stampato e imbustato"),
    ("CON09A", "Plico pronto per il recapitista"),
    ("CON993", "Errore di stampa (parziale)"),
    ("CON995", "Errore di stampa"),
    ("CON996", "Il documento non è stampabile"),
    ("CON997", "CAP o zona internazionale non serviti"),
    ("CON998", "Documento non conforme alla stampa (dimensioni, margini o formato)"),
    ("D00", "Nessun indirizzo trovato per la spedizione"),
    ("D01", "L'indirizzo trovato non è valido"),
    ("D02", "L'indirizzo trovato è uguale a quello del primo tentativo"),
    ("DP00", "Primo invio PEC non riuscito per causa temporanea: SEND invia di nuovo"),
    ("DP10", "Nessuna risposta dal gestore PEC entro il termine"),
    ("P000", "Spedizione affidata al centro stampa"),
    ("P001", "Spedizione in lavorazione al centro stampa"),
    ("P011", "Spedizione respinta dal centro stampa: errore di sintassi"),
    ("P012", "Spedizione respinta dal centro stampa: dati non coerenti"),
    ("P013", "Spedizione respinta dal centro stampa: errore di conversione"),
    ("PNAG012", "Raccomandata 890: perfezionata per decorrenza del termine di giacenza, prima dell'esito finale del recapitista"),
    ("PNALL001", "L'indirizzo trovato per il secondo tentativo non è valido"),
    ("PNRN012", "Raccomandata AR: perfezionata per decorrenza del termine di giacenza"),
    ("Q003", "Consegnata al recapito digitale qualificato (SERCQ)"),
    ("Q010", "Consegna al recapito digitale qualificato (SERCQ) non riuscita"),
    ("Q011", "Consegna al recapito digitale qualificato (SERCQ) non riuscita"),
    ("RECAG001A", "Raccomandata 890: consegnata al destinatario, esito provvisorio"),
    ("RECAG001B", "Raccomandata 890: consegnata al destinatario, scansione disponibile"),
    ("RECAG001C", "Raccomandata 890: consegnata al destinatario"),
    ("RECAG002A", "Raccomandata 890: consegnata a persona abilitata, esito provvisorio"),
    ("RECAG002B", "Raccomandata 890: consegnata a persona abilitata, scansione disponibile"),
    ("RECAG002C", "Raccomandata 890: consegnata a persona abilitata"),
    ("RECAG003A", "Raccomandata 890: non consegnata, esito provvisorio"),
    ("RECAG003B", "Raccomandata 890: non consegnata, scansione disponibile"),
    ("RECAG003C", "Raccomandata 890: non consegnata"),
    ("RECAG003D", "Raccomandata 890: destinatario irreperibile, esito provvisorio"),
    ("RECAG003E", "Raccomandata 890: destinatario irreperibile, scansione disponibile"),
    ("RECAG003F", "Raccomandata 890: destinatario irreperibile"),
    ("RECAG004", "Raccomandata 890: plico rubato, smarrito o deteriorato; SEND spedisce di nuovo"),
    ("RECAG005A", "Raccomandata 890: ritirata in giacenza dal destinatario, esito provvisorio"),
    ("RECAG005B", "Raccomandata 890: ritirata in giacenza dal destinatario, scansione disponibile"),
    ("RECAG005C", "Raccomandata 890: ritirata in giacenza dal destinatario"),
    ("RECAG006A", "Raccomandata 890: ritirata in giacenza da persona abilitata, esito provvisorio"),
    ("RECAG006B", "Raccomandata 890: ritirata in giacenza da persona abilitata, scansione disponibile"),
    ("RECAG006C", "Raccomandata 890: ritirata in giacenza da persona abilitata"),
    ("RECAG007A", "Raccomandata 890: non consegnata presso il punto di giacenza, esito provvisorio"),
    ("RECAG007B", "Raccomandata 890: non consegnata presso il punto di giacenza, scansione disponibile"),
    ("RECAG007C", "Raccomandata 890: non consegnata presso il punto di giacenza"),
    ("RECAG008A", "Raccomandata 890: compiuta giacenza, esito provvisorio"),
    ("RECAG008B", "Raccomandata 890: compiuta giacenza, scansione disponibile"),
    ("RECAG008C", "Raccomandata 890: compiuta giacenza"),
    ("RECAG010", "Raccomandata 890: tentativo di consegna senza esito"),
    ("RECAG011A", "Raccomandata 890: in giacenza"),
    ("RECAG011B", "Raccomandata 890: in giacenza, scansione disponibile"),
    ("RECAG012", "Raccomandata 890: accettata la comunicazione di avvenuto deposito (modello 23L)"),
    ("RECAG012A", "Raccomandata 890: comunicazione di avvenuto deposito (modello 23L), esito provvisorio"),
    ("RECAG013", "Raccomandata 890: esito non rendicontabile; SEND spedisce di nuovo"),
    ("RECAG015", "Raccomandata 890: ritardo per causa di forza maggiore"),
    ("RECRI001", "Raccomandata internazionale: avviata all'estero"),
    ("RECRI002", "Raccomandata internazionale: entrata nel Paese di destinazione"),
    ("RECRI003A", "Raccomandata internazionale: consegnata, esito provvisorio"),
    ("RECRI003B", "Raccomandata internazionale: consegnata, scansione disponibile"),
    ("RECRI003C", "Raccomandata internazionale: consegnata"),
    ("RECRI004A", "Raccomandata internazionale: non consegnata, esito provvisorio"),
    ("RECRI004B", "Raccomandata internazionale: non consegnata, scansione disponibile"),
    ("RECRI004C", "Raccomandata internazionale: non consegnata"),
    ("RECRI005", "Raccomandata internazionale: plico rubato, smarrito o deteriorato; SEND spedisce di nuovo"),
    ("RECRN001A", "Raccomandata AR: consegnata, esito provvisorio"),
    ("RECRN001B", "Raccomandata AR: consegnata, scansione disponibile"),
    ("RECRN001C", "Raccomandata AR: consegnata"),
    ("RECRN002A", "Raccomandata AR: non consegnata, esito provvisorio"),
    ("RECRN002B", "Raccomandata AR: non consegnata, scansione disponibile"),
    ("RECRN002C", "Raccomandata AR: non consegnata"),
    ("RECRN002D", "Raccomandata AR: destinatario irreperibile, esito provvisorio"),
    ("RECRN002E", "Raccomandata AR: destinatario irreperibile, scansione disponibile"),
    ("RECRN002F", "Raccomandata AR: destinatario irreperibile"),
    ("RECRN003A", "Raccomandata AR: ritirata in giacenza, esito provvisorio"),
    ("RECRN003B", "Raccomandata AR: ritirata in giacenza, scansione disponibile"),
    ("RECRN003C", "Raccomandata AR: ritirata in giacenza"),
    ("RECRN004A", "Raccomandata AR: non consegnata presso il punto di giacenza, esito provvisorio"),
    ("RECRN004B", "Raccomandata AR: non consegnata presso il punto di giacenza, scansione disponibile"),
    ("RECRN004C", "Raccomandata AR: non consegnata presso il punto di giacenza"),
    ("RECRN005A", "Raccomandata AR: compiuta giacenza, esito provvisorio"),
    ("RECRN005B", "Raccomandata AR: compiuta giacenza, scansione disponibile"),
    ("RECRN005C", "Raccomandata AR: compiuta giacenza"),
    ("RECRN006", "Raccomandata AR: plico rubato, smarrito o deteriorato; SEND spedisce di nuovo"),
    ("RECRN010", "Raccomandata AR: tentativo di consegna senza esito"),
    ("RECRN011", "Raccomandata AR: in giacenza"),
    ("RECRN013", "Raccomandata AR: esito non rendicontabile; SEND spedisce di nuovo"),
    ("RECRN015", "Raccomandata AR: ritardo per causa di forza maggiore"),
    ("RECRS001C", "Raccomandata semplice: consegnata"),
    ("RECRS002A", "Raccomandata semplice: non consegnata, esito provvisorio"),
    ("RECRS002B", "Raccomandata semplice: non consegnata, scansione disponibile"),
    ("RECRS002C", "Raccomandata semplice: non consegnata"),
    ("RECRS002D", "Raccomandata semplice: destinatario irreperibile, esito provvisorio"),
    ("RECRS002E", "Raccomandata semplice: destinatario irreperibile, scansione disponibile"),
    ("RECRS002F", "Raccomandata semplice: destinatario irreperibile"),
    ("RECRS003C", "Raccomandata semplice: ritirata in giacenza"),
    ("RECRS004A", "Raccomandata semplice: non consegnata presso il punto di giacenza, esito provvisorio"),
    ("RECRS004B", "Raccomandata semplice: non consegnata presso il punto di giacenza, scansione disponibile"),
    ("RECRS004C", "Raccomandata semplice: non consegnata presso il punto di giacenza"),
    ("RECRS005A", "Raccomandata semplice: compiuta giacenza, esito provvisorio"),
    ("RECRS005B", "Raccomandata semplice: compiuta giacenza, scansione disponibile"),
    ("RECRS005C", "Raccomandata semplice: compiuta giacenza"),
    ("RECRS006", "Raccomandata semplice: plico rubato, smarrito o deteriorato; SEND spedisce di nuovo"),
    ("RECRS010", "Raccomandata semplice: tentativo di consegna senza esito"),
    ("RECRS011", "Raccomandata semplice: in giacenza"),
    ("RECRS013", "Raccomandata semplice: esito non rendicontabile; SEND spedisce di nuovo"),
    ("RECRS015", "Raccomandata semplice: ritardo per causa di forza maggiore"),
    ("RECRSI001", "Raccomandata semplice internazionale: avviata all'estero"),
    ("RECRSI002", "Raccomandata semplice internazionale: entrata nel Paese di destinazione"),
    ("RECRSI003C", "Raccomandata semplice internazionale: consegnata"),
    ("RECRSI004A", "Raccomandata semplice internazionale: non consegnata, esito provvisorio"),
    ("RECRSI004B", "Raccomandata semplice internazionale: non consegnata, scansione disponibile"),
    ("RECRSI004C", "Raccomandata semplice internazionale: non consegnata"),
    ("RECRSI005", "Raccomandata semplice internazionale: plico rubato, smarrito o deteriorato; SEND spedisce di nuovo"),
];

/// `deliveryFailureCause` of paper, and `failureCause` of a paper send that could not be prepared, sorted.
///
/// M01, M03, M04, M06-M09 bring a second attempt; M02 and M05 do not (`reference send.md` 5).
pub const FAILURE_CAUSES: &[Entry] = &[
    ("D00", "Nessun indirizzo trovato per la spedizione"),
    ("D01", "L'indirizzo trovato non è valido"),
    ("D02", "L'indirizzo trovato è uguale a quello del primo tentativo"),
    ("F01", "Furto del plico: SEND spedisce di nuovo"),
    ("F02", "Smarrimento del plico: SEND spedisce di nuovo"),
    ("F03", "Deterioramento del plico: SEND spedisce di nuovo"),
    ("F04", "Rapina: SEND spedisce di nuovo"),
    ("M01", "Destinatario irreperibile"),
    ("M02", "Destinatario deceduto"),
    ("M03", "Destinatario sconosciuto all'indirizzo"),
    ("M04", "Destinatario trasferito"),
    ("M05", "Il destinatario ha rifiutato il plico"),
    ("M06", "Indirizzo inesatto"),
    ("M07", "Indirizzo inesistente"),
    ("M08", "Indirizzo insufficiente"),
    ("M09", "Altra causa"),
];

/// Codes with which SEND refuses a request, asynchronously (`refusalReasons`) or at once (`errors` of a 400), sorted.
pub const REFUSALS: &[Entry] = &[
    ("ADDRESS_NOT_FOUND", "L'indirizzo del destinatario non risulta nei registri pubblici: indicarlo nell'atto."),
    ("ADDRESS_SEARCH_FAILED", "La ricerca dell'indirizzo nei registri pubblici non è riuscita per un guasto: ripresentare l'atto."),
    ("F24_METADATA_NOT_VALID", "I dati del modello F24 non sono validi: correggerli e ripresentare l'atto."),
    ("FILE_GONE", "Un documento è scaduto prima della verifica di SEND: ripresentare l'atto."),
    ("FILE_NOTFOUND", "SEND non ha trovato un documento dell'atto: ripresentare l'atto."),
    ("FILE_PDF_INVALID_ERROR", "Un documento non è un PDF valido: rigenerarlo e ripresentare l'atto."),
    ("FILE_PDF_TOOBIG_ERROR", "Un documento supera i 200 MB ammessi: ridurlo e ripresentare l'atto."),
    ("FILE_SHA_ERROR", "L'impronta di un documento non coincide con quella dichiarata: ripresentare l'atto."),
    ("NOT_VALID_ADDRESS", "L'indirizzo del destinatario non è valido: correggerlo e ripresentare l'atto."),
    ("PAYMENT_NOT_VALID", "L'avviso di pagamento non è valido per pagoPA: sistemare la posizione debitoria e ripresentare l'atto."),
    ("PN_DELIVERY_INVALIDADDITIONALLANGS", "La lingua aggiuntiva indicata non è ammessa per questo ente."),
    ("PN_DELIVERY_INVALIDPARAMETER_GROUP", "Il gruppo indicato non è attivo o non è ammesso per la chiave dell'ente."),
    ("PN_DELIVERY_INVALID_SENDER_TAX_ID", "Il codice fiscale dell'ente non corrisponde alla chiave usata verso SEND."),
    ("PN_DELIVERY_NOTIFICATION_LIMIT_EXCEEDED", "È stato raggiunto il numero di notifiche ammesso per l'ente."),
    ("PN_DELIVERY_REQUIREDADDITIONALLANG", "Per questo ente è obbligatoria una lingua aggiuntiva."),
    ("PN_DELIVERY_SEND_IS_DISABLED", "L'ente non è abilitato all'invio su SEND."),
    ("PN_GENERIC_INVALIDPARAMETER", "SEND giudica non valido un dato dell'atto: correggerlo e ripresentare l'atto."),
    ("PN_GENERIC_INVALIDPARAMETER_ASSERTENUM", "SEND non ammette uno dei valori indicati: correggerlo e ripresentare l'atto."),
    (
        "PN_GENERIC_INVALIDPARAMETER_DUPLICATED",
        "Il numero di avviso, o il protocollo, è già usato da un'altra notifica in corso: verificare prima di ripresentare l'atto.",
    ),
    ("PN_GENERIC_INVALIDPARAMETER_MAX", "Un valore supera il massimo ammesso da SEND: correggerlo e ripresentare l'atto."),
    ("PN_GENERIC_INVALIDPARAMETER_MIN", "Un valore è sotto il minimo ammesso da SEND: correggerlo e ripresentare l'atto."),
    ("PN_GENERIC_INVALIDPARAMETER_PATTERN", "Un dato non ha il formato voluto da SEND: correggerlo e ripresentare l'atto."),
    ("PN_GENERIC_INVALIDPARAMETER_REQUIRED", "Manca un dato obbligatorio per SEND: aggiungerlo e ripresentare l'atto."),
    ("PN_GENERIC_INVALIDPARAMETER_SIZE", "Un dato ha una lunghezza non ammessa da SEND: correggerlo e ripresentare l'atto."),
    ("PN_GENERIC_INVALIDPARAMETER_TAXONOMYCODE", "Il codice tassonomico non è ammesso da SEND: avvisare chi configura il flusso."),
    ("RECIPIENT_ID_NOT_VALID", "Il destinatario indicato non è valido: correggerlo e ripresentare l'atto."),
    (
        "SENDER_DISABLED_MORE_THAN_20_GRAMS",
        "L'ente non è abilitato a spedizioni oltre i 20 grammi: ridurre le pagine o gli allegati, o chiedere l'abilitazione a SEND.",
    ),
    ("SERVICE_UNAVAILABLE", "SEND non ha potuto verificare l'atto per un guasto: ripresentare l'atto."),
    ("TAXID_NOT_VALID", "Il codice fiscale del destinatario non risulta all'Agenzia delle Entrate: correggerlo e ripresentare l'atto."),
];

/// Categories of legal facts (`LegalFactCategoryV20`), sorted.
pub const LEGAL_FACTS: &[Entry] = &[
    ("ANALOG_DELIVERY", "Documenti della consegna su carta"),
    ("ANALOG_FAILURE_DELIVERY", "Attestazione di deposito dell'avviso per destinatario irreperibile"),
    ("DIGITAL_DELIVERY", "Attestazione di notifica digitale"),
    ("NOTIFICATION_CANCELLED", "Attestazione di annullamento"),
    ("PEC_RECEIPT", "Ricevuta PEC"),
    ("RECIPIENT_ACCESS", "Attestazione di accesso del destinatario"),
    ("SENDER_ACK", "Attestazione di presa in carico"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_say_something() {
        for (name, table) in [
            ("events", EVENTS),
            ("details", DELIVERY_DETAILS),
            ("causes", FAILURE_CAUSES),
            ("refusals", REFUSALS),
            ("legal facts", LEGAL_FACTS),
        ] {
            for pair in table.windows(2) {
                assert!(pair[0].0 < pair[1].0, "{name}: {} before {}", pair[0].0, pair[1].0);
            }
            for (code, sentence) in table {
                assert!(sentence.chars().count() > 10 || *code == "M09", "{name} {code}: {sentence:?}");
                assert_eq!(look(table, code), Some(*sentence), "{name} {code}");
                let first = sentence.chars().next().unwrap();
                assert!(first.is_uppercase(), "{name} {code}: cell would begin with {first:?}");
            }
        }
    }

    #[test]
    fn a_reason_says_what_where_and_in_whose_words() {
        let full = RefusalReason {
            element: Some("recipients[1].taxId".into()),
            detail: Some("non risulta".into()),
            rec_index: Some(1),
            ..RefusalReason::of("X")
        };
        let table = [
            (RefusalReason::of("X"), "Frase."),
            (RefusalReason { rec_index: Some(0), ..RefusalReason::of("X") }, "Frase. Destinatario 1."),
            (RefusalReason { rec_index: None, detail: None, ..full.clone() }, "Frase. Campo recipients[1].taxId."),
            (full, "Frase. Destinatario 2, campo recipients[1].taxId. SEND scrive: «non risulta»"),
        ];
        for (reason, want) in table {
            assert_eq!(refusal_words(&reason, Some("Frase.")), want, "{reason:?}");
        }
        assert_eq!(refusal_words(&RefusalReason::of("X"), None), REFUSAL_UNKNOWN);
    }

    #[test]
    fn unknown_codes_say_that_they_are_unknown() {
        assert_eq!(event("SOSPESO"), state(OutcomeState::Parked));
        assert!(event("NEW_THING_2027").contains("non ancora"));
        assert!(delivery_detail("RECZZ001").contains("non ancora"));
        assert!(failure_cause("Z1").contains("non ancora"));
        assert!(legal_fact("").contains("non ancora"));
        assert_eq!(refusal("X"), None);
    }
}
