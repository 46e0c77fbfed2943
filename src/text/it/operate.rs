//! What operators read from the commands: why an order was not carried out, what a state means, what happens next.

use super::parking;
use crate::flow::event::OrderRefused;

/// Why an order about an act cannot be carried out now.
pub fn order_refused(refused: OrderRefused) -> &'static str {
    match refused {
        OrderRefused::AlreadySent => "l'atto è già arrivato a SEND: si può soltanto annullare o sostituire",
        OrderRefused::NoIunYet => {
            "SEND non ha ancora assegnato lo IUN: l'ordine non si può eseguire finché SEND non ha deciso della richiesta"
        }
        OrderRefused::Closed => "l'atto è già chiuso (rifiutato, annullato o ritirato): non c'è altro da fare su questo invio",
        OrderRefused::NoPosition => "nessun avviso dell'atto è presso un partner tecnologico gestito: non ci sono termini da sospendere",
        OrderRefused::NotStopped => "i termini di pagamento non sono sospesi: non c'è nulla da riprendere",
        OrderRefused::Days => "l'ultimo giorno della sospensione viene prima del primo",
        OrderRefused::NotHeld => "l'atto non è trattenuto in attesa di un operatore: non c'è nulla da rilasciare",
    }
}

pub fn act_not_found(text: &str) -> String {
    format!("nessun atto con riferimento, protocollo, IUN, avviso o identificativo «{text}»")
}

pub fn batch_not_found(text: &str) -> String {
    format!("nessun lotto il cui identificativo comincia con «{text}»")
}

pub fn ambiguous_act(text: &str, count: usize) -> String {
    format!("«{text}» indica {count} atti diversi: ripetere l'ordine con lo IUN o con l'identificativo di uno di questi")
}

pub fn ambiguous_batch(text: &str) -> String {
    format!("più lotti cominciano con «{text}»: scrivere l'identificativo per intero")
}

pub fn position_not_found(creditor: &str, notice: &str) -> String {
    format!("nessun atto nomina l'avviso «{notice}» del creditore «{creditor}», o nessun partner tecnologico configurato lo ha")
}

pub const POSITION_NOT_PARKED: &str = "la posizione non è ferma: messo la sta già seguendo";
pub const NOT_PARKED: &str = "l'atto non è sospeso: messo lo sta già seguendo, e riprova da sé";
pub const BATCH_NOT_PARKED: &str = "nessun lavoro del lotto è sospeso; gli atti sospesi si riprendono con «messo act retry»";
pub const HELD_NOT_PARKED: &str =
    "gli atti sono trattenuti, non sospesi per un errore: si fanno partire con «messo batch release» o «messo act release»";
pub const NOTHING_HELD: &str = "nessun atto del lotto è trattenuto: non c'è nulla da rilasciare";

pub fn held_withdrawn(withdrawn: u64) -> String {
    match withdrawn {
        1 => "l'atto trattenuto del lotto è stato ritirato (annullato prima dell'invio): non c'è più nulla da rilasciare".to_owned(),
        many => {
            format!(
                "gli atti trattenuti del lotto sono stati ritirati ({many}, annullati prima dell'invio): non c'è più nulla da rilasciare"
            )
        }
    }
}

pub fn sender_unknown(sender: &str) -> String {
    format!("l'ente «{sender}» non è nella configurazione")
}

pub fn day_to_come(day: &str) -> String {
    format!("il {day} non è ancora cominciato: non c'è nulla da riferire")
}

pub fn not_a_day(text: &str) -> String {
    format!("«{text}» non è una data: scrivere per esempio 2026-11-22")
}

pub fn none_parked_with(code: &str) -> String {
    format!("nessun atto è sospeso con il codice «{code}»")
}

pub fn guard_waits(open: u64, first: u64) -> String {
    format!(
        "i primi {first} atti del lotto sono partiti da soli e {open} aspettano ancora la risposta di SEND: il resto seguirà da sé. \
         Per farlo partire subito comunque: --skip-guard"
    )
}

pub fn channel_not_stopped(channel: &str) -> String {
    format!("la chiave «{channel}» non è ferma (si scrive ENTE/CHIAVE, come in «messo status»)")
}

pub fn sender_stopped(channel: &str) -> String {
    format!("l'ente è fermo e i suoi atti si riprendono tutti insieme: «messo act retry --channel {channel}»")
}

/// Before what the hub says.
pub const TRIED_BY_HUB: &str = "Prova fatta dal servizio acceso, con i suoi segreti.";
pub const NO_TRIER: &str = "chi ha risposto non fa prove: non accade con il servizio di messo";
pub const NO_REASON: &str = "manca il motivo: --reason \"…\"";

pub fn reason_too_long(limit: usize) -> String {
    format!("il motivo supera {limit} caratteri")
}

pub const REASON_WITH_TAX_ID: &str =
    "il motivo resta nella storia dell'atto e non può contenere un codice fiscale: citare il riferimento o il protocollo";

pub const NO_PUBLISHER: &str = "chi ha risposto non può ripubblicare i file";

pub fn publish_failed(code: &str) -> String {
    let [what, remedy] = [parking::sentence(code), parking::remedy(code)].map(Option::unwrap_or_default);
    format!("ripubblicazione non riuscita: {code}. {what} {remedy}").trim_end().to_owned()
}

pub fn not_an_export(text: &str) -> String {
    format!(
        "«{text}» non indica rendicontazioni: scrivere due numeri (con --source: i numeri sono di un gestionale) oppure due date AAAA-MM-GG"
    )
}

pub fn export_not_found(from: &str, to: &str) -> String {
    format!("nessuna rendicontazione da «{from}» a «{to}»")
}

pub fn export_gone(name: &str, day: &str) -> String {
    format!(
        "«{name}» non può più essere rifatta: i dati che conteneva sono stati cancellati il {day} secondo i tempi di conservazione, o su richiesta di un interessato"
    )
}

pub fn export_differs(name: &str) -> String {
    format!(
        "«{name}» non verrebbe uguale all'originale (i dati o il programma sono cambiati): non è stata scritta. L'originale vale; se manca, chiedere assistenza"
    )
}

pub fn source_unknown(source: &str) -> String {
    format!("nessun gestionale «{source}» nella configurazione")
}

pub fn store_failed(detail: &str) -> String {
    format!("l'archivio dello stato non risponde: {detail}")
}

pub const STALE: &str = "lo stato è cambiato proprio ora: ripetere l'ordine";
pub const STOPPING: &str = "il servizio si sta fermando: ripetere fra poco";

pub fn not_a_request(limit: usize) -> String {
    format!("richiesta non comprensibile (una riga JSON di al più {limit} byte)")
}

pub fn request_too_long(limit: usize) -> String {
    format!("richiesta più lunga di {limit} byte")
}

pub const REQUEST_LATE: &str = "richiesta non completata in tempo";

pub fn other_version(theirs: u32, ours: u32) -> String {
    format!("il comando parla la versione {theirs} del protocollo, il servizio la {ours}: usare lo stesso programma")
}

pub fn hub_silent(socket: &str) -> String {
    format!("il servizio è in esecuzione ma non risponde su {socket}")
}

pub fn socket_denied(socket: &str) -> String {
    format!("accesso negato a {socket}: l'utente deve far parte del gruppo del servizio (messo)")
}

pub fn hub_broke_off(socket: &str) -> String {
    format!("il servizio ha chiuso {socket} senza rispondere: non si sa se l'ordine è stato eseguito, controllare con «show»")
}

pub fn hub_too_slow(socket: &str) -> String {
    format!("nessuna risposta in tempo su {socket}: l'ordine può essere ancora in corso, controllare con «show»")
}

pub fn no_store(folder: &str) -> String {
    format!("il servizio non è in esecuzione e in {folder} non c'è ancora nulla: non è mai partito con questa configurazione")
}

pub fn store_denied(folder: &str) -> String {
    format!("il servizio non è in esecuzione, e {folder} si apre soltanto come root o come utente del servizio")
}

pub fn config_unreadable(path: &str, detail: &str) -> String {
    format!("configurazione {path} non leggibile: {detail}")
}

/// What happens with a cancellation that was kept, by the state of the act.
pub fn cancel_remembered(state: &str) -> &'static str {
    match state {
        "INVIATO" => {
            "l'ordine è ricordato: SEND sta ancora controllando la richiesta. Se la accetta, messo ne chiede subito l'annullamento; se la \
             rifiuta, non c'è nulla da annullare. Non serve ripetere l'ordine"
        }
        _ => {
            "l'ordine è ricordato: la richiesta può essere già arrivata a SEND, e messo glielo chiede. Se SEND non l'ha, l'atto è ritirato; se \
             l'ha, ne è chiesto l'annullamento appena c'è lo IUN. Non serve ripetere l'ordine"
        }
    }
}

/// What the state of an act means.
pub fn state(name: &str) -> &'static str {
    match name {
        "IN_ATTESA" => "trattenuto",
        "IN_PREPARAZIONE" => "in preparazione",
        "IN_CARICAMENTO" => "i documenti vanno a SEND",
        "IN_INVIO" => "la richiesta va a SEND",
        "INVIATO" => "SEND lo sta controllando",
        "IN_CONSEGNA" => "accettato da SEND, in consegna",
        "PERFEZIONATO" => "perfezionato per ogni destinatario",
        "IN_ANNULLAMENTO" => "annullamento chiesto a SEND",
        "ANNULLATO" => "annullato",
        "RIFIUTATO" => "rifiutato da SEND",
        "RITIRATO" => "ritirato prima dell'invio",
        _ => "",
    }
}

/// Why something waits for nothing, which should never be.
pub fn stuck(why: &str) -> &'static str {
    match why {
        "SENZA_PREPARAZIONE" => "in preparazione, ma nessun lavoro la fa avanzare",
        "SENZA_CARICAMENTO" => "i documenti vanno caricati, ma nessun lavoro li carica",
        "SENZA_INVIO" => "la richiesta va inviata, ma nessun lavoro la invia",
        "SENZA_RICHIESTA_ESITO" => "inviato, ma nessun lavoro ne chiederà l'esito se SEND non lo comunica",
        "PRIMI_ATTI_GIA_RISPOSTI" => "aspetta i primi atti del lotto, che hanno già tutti risposta",
        "PRECEDENTE_GIA_CHIUSO" => "aspetta l'annullamento di un atto che è già chiuso",
        "PRECEDENTE_NON_ANNULLATO" => "aspetta l'annullamento di un atto che nessuno sta annullando",
        "SOSPESO_SENZA_LAVORO" => "sospeso, ma non c'è un lavoro da riprendere",
        "LOTTO_NON_AVVIATO" => "lotto preso in carico, ma nessun lavoro ne avvia gli atti o gli ordini",
        _ => "",
    }
}

/// Why an act waits.
pub fn hold(reason: &str) -> &'static str {
    match reason {
        "OPERATORE" => "un operatore lo deve rilasciare",
        "PRIMI_ATTI" => "aspetta l'esito dei primi atti del lotto",
        "ANNULLAMENTO_DEL_PRECEDENTE" => "aspetta che l'atto che sostituisce sia annullato",
        _ => "",
    }
}

/// What a job will do.
pub fn job(kind: &str) -> &'static str {
    match kind {
        "PREPARA" => "preparare l'atto",
        "CARICA" => "caricare i documenti su SEND",
        "INVIA" => "inviare la richiesta a SEND",
        "CHIEDI_ESITO" => "chiedere a SEND l'esito della richiesta, se non lo dice prima",
        "RILEGGI" => "rileggere la cronologia su SEND",
        "ANNULLA" => "chiedere a SEND l'annullamento",
        "ANNULLA_APPENA_POSSIBILE" => "annullare, come ordinato, appena SEND ha deciso della richiesta",
        "SCARICA_ATTESTAZIONI" => "scaricare le attestazioni",
        "CHIEDI_COSTO" => "chiedere a SEND il costo per il cittadino",
        "REINVIA" => "inviare di nuovo, una volta sola",
        "AVVIA_SOSTITUZIONE" => "avviare l'atto sostitutivo",
        "SCRIVI_SCARTO" => "scrivere l'atto in scarti/",
        "AVVIA" => "avviare gli atti del lotto",
        "APRI" => "decidere del resto del lotto dopo i primi atti",
        "RICEVUTA" => "scrivere la ricevuta",
        "SCARTI" => "scrivere gli scarti",
        "RISINCRONIZZA" => "chiedere a SEND che cosa ha dell'atto, dopo il ripristino",
        "RIELABORA" => "leggere di nuovo il lotto dall'archivio conservato",
        "VERIFICA_POSIZIONE" => "chiedere al partner tecnologico che cosa ha dell'avviso",
        "RICALCOLA" => "ricalcolare quanto è dovuto",
        "AGGIORNA_IMPORTO" => "dare il nuovo importo al partner tecnologico",
        "RILEGGI_POSIZIONE" => "rileggere l'importo presso il partner tecnologico",
        "CHIEDI_PAGAMENTO" => "chiedere al partner tecnologico se è pagato",
        "COMUNICA_PAGAMENTO" => "dire a SEND che è pagato",
        _ => "",
    }
}

/// How a job stands.
pub fn job_state(state: &str) -> &'static str {
    match state {
        "ATTESA" => "non prima di",
        "PRONTO" => "appena possibile, da",
        "IN_CORSO" => "in corso, da",
        "SOSPESO" => "sospeso: serve una persona, da",
        "FERMO" => "fermo con il suo lotto, da",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::effect::Effect;
    use crate::flow::state::{HoldReason, State};

    #[test]
    fn every_state_hold_and_job_has_its_words() {
        let iun = String::new;
        let states = [
            State::Held { reason: HoldReason::Guard },
            State::Preparing,
            State::Uploading,
            State::Sending,
            State::AwaitingAcceptance { request_id: String::new() },
            State::InDelivery { iun: iun() },
            State::Completed { iun: iun() },
            State::Cancelling { iun: iun() },
            State::Cancelled { iun: iun() },
            State::Refused { code: String::new() },
            State::Withdrawn,
        ];
        for known in &states {
            assert!(!state(known.name()).is_empty(), "state {}", known.name());
        }
        for reason in HoldReason::ALL {
            assert!(!hold(reason.as_str()).is_empty(), "hold {reason}");
        }
        let effects = [
            Effect::Prepare,
            Effect::Upload,
            Effect::Send,
            Effect::AskRequest,
            Effect::Resync,
            Effect::Cancel,
            Effect::CancelLater { who: String::new(), why: String::new() },
            Effect::FetchLegalFacts,
            Effect::AskPrice { recipient: 0 },
            Effect::Resubmit,
            Effect::StartReplacement,
            Effect::WriteReject,
            Effect::Recover,
        ];
        for effect in &effects {
            assert!(!job(effect.name()).is_empty(), "job {}", effect.name());
        }
    }
}
