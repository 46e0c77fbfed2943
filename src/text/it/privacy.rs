//! Where a drop is, what was deleted and why, what can be deleted of a person.

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub const NOT_A_TAX_ID: &str = "non è un codice fiscale (16 caratteri, o 11 cifre) con il carattere di controllo giusto";
pub const NO_ERASER: &str = "chi ha risposto non può cancellare dati";
pub const TAX_ID: &str = "Codice fiscale della persona: ";
pub const NOTHING_OF_PERSON: &str = "Nessun atto e nessun file di lotto conservato nomina questa persona.\n";
pub const NEVER_SEEN: &str = "Mai visto: nessun file, lotto o atto con questo nome, impronta o identificativo.\n";
pub const WHAT_STAYS: &str = "Restano le attestazioni (atti opponibili a terzi, fino al loro termine), gli stati, le date, gli importi e le \
     impronte: non nominano nessuno.\nI file già pubblicati nelle cartelle dei gestionali (ricevute, scarti, esiti) vanno tolti da chi \
     li ha ricevuti: «messo batch show LOTTO» li elenca.\n";
pub const ERASED_NAME: &str = "(nome cancellato)";

/// Refused drops that cannot be searched.
pub fn unreadable_drops(drops: u64) -> String {
    format!(
        "\nLotti non leggibili: {drops}. Sono depositi scartati perché rovinati o cifrati: se nominano la persona non si può dire. Vanno via \
         con il termine di conservazione.\n"
    )
}

/// Deletions that are known in the data folder alone.
pub fn unnoted(erasures: u64) -> String {
    format!(
        "\nATTENZIONE: {erasures} cancellazioni non sono ancora annotate fuori dai dati, perché la cartella del gestionale non è raggiungibile. \
         messo riprova da sé; se prima di allora si ripristina una copia, vanno chieste di nuovo.\n"
    )
}

pub fn not_of_person(subject: &str) -> String {
    format!("{subject} non nomina questa persona: ripetere il comando, che cerca da sé")
}

pub fn unfinished(detail: &str) -> String {
    format!("la cancellazione è decisa e continua da sé, ma ora non si può finire: {detail}")
}

/// Why something cannot be done: what it needs was deleted.
pub fn erased(at: Timestamp, cause: &str) -> String {
    format!("i dati personali che servono sono stati cancellati il {} ({})", day(at), self::cause(cause))
}

pub fn not_given_again(files: u64, at: Option<Timestamp>) -> String {
    let when = at.map(|at| format!(" (l'ultima cancellazione è del {})", day(at))).unwrap_or_default();
    format!("{files}: i dati personali di cui erano fatti sono stati cancellati, o è passato il termine di conservazione{when}")
}

/// Why data was deleted.
pub fn cause(code: &str) -> &'static str {
    match code {
        "CONSERVAZIONE" => "è passato il termine di conservazione dell'ente",
        "RICHIESTA" => "richiesta dell'interessato",
        _ => "",
    }
}

/// What a verdict about the data of a person means.
pub fn verdict(code: &str) -> &'static str {
    match code {
        "CANCELLABILE" => "si può cancellare",
        "APERTO" => "resta: procedimento in corso, obbligo di legge (art. 17, par. 3, lett. b, GDPR)",
        "CONTESTABILE" => "resta: può essere contestato (art. 17, par. 3, lett. e, GDPR)",
        "IN_ATTESA" => "deciso: il file sarà cancellato appena non serve più ad altri atti in corso",
        "CANCELLATO" => "cancellato",
        _ => "",
    }
}

/// What happened to a drop, by the kind of the step.
pub fn step(kind: &str) -> &'static str {
    match kind {
        "CARICATO_SFTP" => "caricato via SFTP",
        "RINOMINATO_SFTP" => "rinominato via SFTP",
        "TOLTO_SFTP" => "tolto via SFTP dal mittente",
        "CARICAMENTO_A_META" => "caricamento via SFTP non completo: arrivati i byte indicati",
        "NOME_PROVVISORIO" => "in in/ con un nome provvisorio: il mittente non l'ha ancora rinominato",
        "IN_ATTESA" => "in in/, non ancora preso: non è intero, o sta per esserlo",
        "IGNORATO" => "in in/ con un nome che messo non legge (compagno, o file di servizio)",
        "PRESO" => "preso da in/, in lavorazione",
        "RICEVUTO" => "ricevuto",
        "IN_LETTURA" => "in lettura",
        "ESAMINATO" => "esaminato",
        "DUPLICATO_DI" => "stessi byte di un lotto già ricevuto",
        "ARRIVATO_DI_NUOVO" => "lo stesso contenuto è arrivato di nuovo",
        "RICEVUTA" => "ricevuta",
        "SCARTI" => "righe scartate, da correggere e depositare di nuovo",
        "TRATTENUTO" => "atti trattenuti",
        "ATTI" => "atti",
        "PROSSIMO_LAVORO" => "che cosa accadrà",
        "ESITI" => "ultimi esiti",
        "AVVISO" => "avviso agli operatori",
        "DATI_CANCELLATI" => "dati personali cancellati",
        _ => "",
    }
}

fn day(at: Timestamp) -> String {
    let zone = TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%d/%m/%Y").to_string()
}
