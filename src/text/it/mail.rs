//! Words of mails to operators: titles, dates, labels; what is wrong with `[mail]`; what `messo mail test` says at each step.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::config::MailFault;
use crate::config::secret::SecretError;
use crate::domain::alert::{self, AlertKind, Phase};

/// What is wrong with the configuration, and what to write instead.
pub fn fault(fault: &MailFault) -> String {
    match fault {
        MailFault::Host => "non è il nome né l'indirizzo di un server: scrivere per esempio \"smtp.comune.esempio.it\"".into(),
        MailFault::Mailbox => "non è un indirizzo di posta: scrivere per esempio \"messo <messo@comune.esempio.it>\"".into(),
        MailFault::Address => "qui va un solo indirizzo di posta, senza nome: per esempio \"ced@comune.esempio.it\"".into(),
        MailFault::Cleartext { host } => {
            format!(
                "verso {host} la posta andrebbe in chiaro: usare starttls o tls; se la rete è protetta, aggiungere allow_cleartext = true"
            )
        }
        MailFault::HalfLogin => "utente e password vanno insieme: indicarli tutti e due o nessuno".into(),
        MailFault::NoServer => "ci sono avvisi da spedire, ma manca il blocco [mail] con il server di posta".into(),
        MailFault::Off => "una regola spenta non ha destinatari né ora: togliere to e at, oppure off".into(),
        MailFault::File { path, reason } => format!("{path} non si può usare: {reason}"),
        MailFault::Template { message } => format!("il modello non è utilizzabile: {message}"),
    }
}

/// Words that keep their capitals in a title.
const NAMES: &[&str] = &["SEND", "API", "SFTP", "PDND", "PT", "IUV"];

/// What a code says, short: `SEND non raggiungibile`.
#[must_use]
pub fn title(code: &str) -> String {
    let known = match code {
        "RAPPORTO_DEL_GIORNO" => "Rapporto del giorno",
        "CHIAVE_RIFIUTATA" => "Chiave rifiutata da SEND: ente fermo",
        "ENTE_RIPRESO" => "L'ente ha ripreso a inviare",
        "FLUSSO_EVENTI_PERSO" => "Flusso degli eventi perso e rifatto",
        "FLUSSO_EVENTI_RIFIUTATO" => "Flusso degli eventi rifiutato da SEND",
        "FLUSSO_EVENTI_RIPRESO" => "Flusso degli eventi di nuovo letto",
        "CHIAMATE_DEL_GIORNO_FINITE" => "Chiamate del giorno finite",
        "TERMINE_VICINO" => "Termine di notifica vicino",
        "LOTTO_PARZIALE" => "Lotto preso in carico in parte",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let mut words = Vec::new();
    for word in code.split('_') {
        words.push(match word {
            word if NAMES.contains(&word) => word.to_owned(),
            "GIA" => "già".to_owned(),
            "E" if words.is_empty() => "è".to_owned(),
            word => word.to_lowercase(),
        });
    }
    let text = words.join(" ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A kind, as a heading.
#[must_use]
pub fn kind(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::Batch => "Lotti scartati o parziali",
        AlertKind::Person => "Serve una persona",
        AlertKind::Remote => "Sistemi remoti",
        AlertKind::Key => "Chiavi ed enti fermi",
        AlertKind::Stream => "Flussi di eventi",
        AlertKind::Quota => "Quote e tetti di spesa",
        AlertKind::Disk => "Disco",
        AlertKind::Upload => "Depositi non completati",
        AlertKind::Silent => "Gestionali silenziosi",
        AlertKind::Term => "Termini di notifica",
        AlertKind::Anomaly => "Anomalie di SEND",
        AlertKind::Payment => "Pagamenti",
        AlertKind::Report => "Rapporto del giorno",
    }
}

/// How much it matters to whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    Note,
    Solved,
    Attention,
    Problem,
}

impl Tone {
    /// The word that templates compare.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Tone::Note => "nota",
            Tone::Solved => "risolto",
            Tone::Attention => "attenzione",
            Tone::Problem => "problema",
        }
    }

    /// The word that people read.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Tone::Note => "Informazione",
            Tone::Solved => "Risolto",
            Tone::Attention => "Attenzione",
            Tone::Problem => "Problema",
        }
    }
}

/// The tone of a code.
#[must_use]
pub fn tone(code: &str) -> Tone {
    if alert::code(code).is_some_and(|row| row.phase == Phase::Ends) {
        return Tone::Solved;
    }
    match (alert::kind_of(code), code) {
        (_, "LOTTO_SCARTATO") => Tone::Problem,
        (AlertKind::Remote | AlertKind::Key | AlertKind::Disk, _) => Tone::Problem,
        (AlertKind::Stream, "FLUSSO_EVENTI_RIFIUTATO") => Tone::Problem,
        (AlertKind::Payment, "PT_NON_RAGGIUNGIBILE" | "PT_RIFIUTA_LE_CREDENZIALI" | "PT_CERTIFICATO_NON_VALIDO") => Tone::Problem,
        (AlertKind::Report, _) => Tone::Note,
        _ => Tone::Attention,
    }
}

/// Whether it happens once, begins or is over: `unico`, `inizio`, `fine`.
#[must_use]
pub fn phase(code: &str) -> &'static str {
    match alert::code(code).map(|row| row.phase) {
        Some(Phase::Begins { .. }) => "inizio",
        Some(Phase::Ends) => "fine",
        Some(Phase::Once) | None => "unico",
    }
}

/// Label of a value that alerts carry in their data; the others are for machines.
#[must_use]
pub fn value_label(name: &str) -> Option<&'static str> {
    Some(match name {
        "day" => "Giorno",
        "limit" => "Limite",
        "free_bytes" => "Spazio libero",
        "total_bytes" => "Spazio totale",
        "by" => "Atteso entro",
        _ => return None,
    })
}

fn rome(at: Timestamp) -> Zoned {
    at.to_zoned(TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC))
}

/// `lunedì 23 novembre 2026`.
#[must_use]
pub fn day(date: Date) -> String {
    let weekday = match date.weekday() {
        Weekday::Monday => "lunedì",
        Weekday::Tuesday => "martedì",
        Weekday::Wednesday => "mercoledì",
        Weekday::Thursday => "giovedì",
        Weekday::Friday => "venerdì",
        Weekday::Saturday => "sabato",
        Weekday::Sunday => "domenica",
    };
    let month = match date.month() {
        1 => "gennaio",
        2 => "febbraio",
        3 => "marzo",
        4 => "aprile",
        5 => "maggio",
        6 => "giugno",
        7 => "luglio",
        8 => "agosto",
        9 => "settembre",
        10 => "ottobre",
        11 => "novembre",
        _ => "dicembre",
    };
    let number = if date.day() == 1 { "1º".to_owned() } else { date.day().to_string() };
    format!("{weekday} {number} {month} {}", date.year())
}

/// `lunedì 23 novembre 2026, ore 10:05`, Rome time.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    let at = rome(at);
    format!("{}, ore {:02}:{:02}", day(at.date()), at.hour(), at.minute())
}

/// `23/11/2026 10:05`, Rome time.
#[must_use]
pub fn short_moment(at: Timestamp) -> String {
    rome(at).strftime("%d/%m/%Y %H:%M").to_string()
}

/// `23/11/2026, dalle 09:51 alle 10:04`, Rome time.
#[must_use]
pub fn span(from: Timestamp, to: Timestamp) -> String {
    let (first, last) = (short_moment(from), short_moment(to));
    if first == last {
        return first;
    }
    match (first.split_once(' '), last.split_once(' ')) {
        (Some((day, from)), Some((same, to))) if day == same => format!("{day}, dalle {from} alle {to}"),
        _ => format!("dal {first} al {last}"),
    }
}

/// `10:05`, Rome time.
#[must_use]
pub fn hour(at: Timestamp) -> String {
    rome(at).strftime("%H:%M").to_string()
}

/// `392 MiB`, `1,5 GiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let tenths = |unit: u64| {
        let tenths = bytes.saturating_mul(10) / unit;
        if tenths >= 1_000 || tenths.is_multiple_of(10) {
            grouped(tenths / 10)
        } else {
            format!("{},{}", grouped(tenths / 10), tenths % 10)
        }
    };
    match bytes {
        0..=1_048_575 => format!("{} byte", grouped(bytes)),
        1_048_576..=1_073_741_823 => format!("{} MiB", tenths(1 << 20)),
        _ => format!("{} GiB", tenths(1 << 30)),
    }
}

/// `1.240,50 €`.
#[must_use]
pub fn euro(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{},{:02} €", grouped(cents.unsigned_abs() / 100), cents.unsigned_abs() % 100)
}

/// `12.345`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('.');
        }
        text.push(digit);
    }
    text
}

/// The subject of a digest.
#[must_use]
pub fn digest_title(alerts: u64, what: &str) -> String {
    let mut letters = what.chars();
    let what: String = letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default();
    format!("{} avvisi: {what}", grouped(alerts))
}

/// Why mails do not reach an address, by step and what was seen there (`DESTINATARIO 550`).
#[must_use]
pub fn undelivered(error: &str) -> String {
    let (step, what) = error.split_once(' ').unwrap_or((error, ""));
    let step = match step {
        "DESTINATARIO" => "il server ha rifiutato il destinatario",
        "DATI" | "MESSAGGIO" => "il server ha rifiutato il messaggio",
        "INDIRIZZO" => "l'indirizzo non è valido",
        _ => "la consegna non è riuscita",
    };
    if what.is_empty() { step.to_owned() } else { format!("{step} ({what})") }
}

// ---- messo mail test ----

/// A step that begins.
#[must_use]
pub fn step(code: &str) -> &'static str {
    match code {
        "COLLEGAMENTO" => "collegamento al server",
        "SALUTO" => "saluto del server",
        "CIFRATURA" => "cifratura (STARTTLS)",
        "ACCESSO" => "accesso con utente e password",
        "MITTENTE" => "mittente",
        "DESTINATARIO" => "destinatario",
        "DATI" => "richiesta di spedire il messaggio",
        _ => "messaggio",
    }
}

/// What failed at a step, and what to look at. `what` is as [`undelivered`] has it: a number of the server, or a word.
#[must_use]
pub fn advice(step: &str, what: &str) -> &'static str {
    match (step, what) {
        ("COLLEGAMENTO", "SENZA_RISPOSTA") => "il server non risponde: verificare nome, porta e firewall ([mail] host e port).",
        ("COLLEGAMENTO" | "CIFRATURA", "TLS") => {
            "la cifratura non riesce: verificare che la porta sia quella di tls (465 per tls, 587 per starttls), che il nome in host sia quello \
             del certificato e che il certificato sia di un'autorità nota (per una propria, indicarla in ca)."
        }
        ("COLLEGAMENTO", _) => "il server non si raggiunge: verificare nome, porta, DNS e firewall ([mail] host e port).",
        ("SALUTO", "SENZA_RISPOSTA") => {
            "il server accetta il collegamento e poi tace: di solito è una porta che vuole subito la cifratura (provare tls = \"tls\" con la porta 465)."
        }
        ("SALUTO", _) => "il server non saluta come un server di posta: verificare la porta.",
        ("CIFRATURA", _) => "la cifratura non riesce: provare tls = \"tls\" con la porta 465, o chiedere a chi gestisce il server.",
        ("ACCESSO", "PASSWORD") => "la password non si legge: verificare il luogo indicato in password.",
        ("ACCESSO", "TLS") => {
            "il server non offre un accesso con password (PLAIN o LOGIN): togliere user e password, o chiedere a chi lo gestisce."
        }
        ("ACCESSO", "535" | "534" | "538") => "utente o password non sono accettati: verificare user e il contenuto di password.",
        ("ACCESSO", _) => "l'accesso non riesce: verificare user e password con chi gestisce il server.",
        ("MITTENTE", "530") | ("DESTINATARIO", "530") => "il server vuole un accesso: indicare user e password.",
        ("MITTENTE", _) => {
            "il server non accetta il mittente: verificare from, che spesso deve essere l'indirizzo dell'utente con cui si accede."
        }
        ("DESTINATARIO", "550" | "551" | "553" | "554") => {
            "il server non accetta il destinatario: verificare l'indirizzo, e che il server accetti posta per altri domini da questa macchina."
        }
        ("DESTINATARIO", _) => "il server non accetta adesso il destinatario: messo riproverebbe da solo.",
        ("MESSAGGIO", "SENZA_RISPOSTA" | "INTERROTTO") => {
            "il messaggio è partito ma il server non ha risposto: può essere arrivato. messo lo ripeterebbe con lo stesso Message-ID."
        }
        ("MESSAGGIO" | "DATI", _) => "il server non accetta il messaggio: leggere la sua risposta (di solito un filtro).",
        _ => "verificare la configurazione del server di posta.",
    }
}

/// Why mails wait (`ACCESSO 535`), and what to look at.
#[must_use]
pub fn trouble(error: &str) -> String {
    let (at, what) = error.split_once(' ').unwrap_or((error, ""));
    format!("{error}: {}", advice(at, what))
}

/// A password that cannot be had.
#[must_use]
pub fn secret(error: &SecretError) -> String {
    match error {
        SecretError::Form { .. } => "password non indica un luogo: scrivere file:PERCORSO, env:NOME o credential:NOME".to_owned(),
        SecretError::EnvMissing { name } => format!("la variabile d'ambiente «{name}» non c'è"),
        SecretError::NoCredentials => super::credentials_elsewhere("messo mail test"),
        SecretError::CredentialName { name } => format!("«{name}» non è il nome di una credenziale"),
        SecretError::Unreadable { path, why } => format!("{} non si legge: {why}", path.display()),
        SecretError::Empty { given } => format!("{given} è vuoto"),
        SecretError::NotASecret { given } => format!("{given} supera 64 KiB, o non è un testo UTF-8"),
    }
}

pub const NO_MAIL: &str = "nella configurazione manca il blocco [mail]: non c'è un server di posta a cui spedire";
pub const NO_RECIPIENT: &str = "a chi spedire? Indicare --to INDIRIZZO, oppure [mail] to nella configurazione";

/// An argument that is no address.
#[must_use]
pub fn not_an_address(text: &str) -> String {
    format!("«{text}» non è un indirizzo di posta")
}

/// Of the test mail.
pub const PROOF_TITLE: &str = "Prova di spedizione";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_read_off_the_codes() {
        let table = [
            ("SEND_NON_RAGGIUNGIBILE", "SEND non raggiungibile"),
            ("LOTTO_SCARTATO", "Lotto scartato"),
            ("NOME_GIA_PRESENTE", "Nome già presente"),
            ("DISCO_QUASI_PIENO", "Disco quasi pieno"),
            ("CODICE_NUOVO", "Codice nuovo"),
            ("", ""),
        ];
        for (code, want) in table {
            assert_eq!(title(code), want, "{code}");
        }
        for row in alert::CODES {
            assert!(title(row.code).chars().count() < 45, "{}", row.code);
        }
    }

    #[test]
    fn dates_numbers_and_amounts_are_italian() {
        assert_eq!(moment("2026-11-23T09:05:00Z".parse().unwrap()), "lunedì 23 novembre 2026, ore 10:05");
        assert_eq!(moment("2026-07-31T22:30:00Z".parse().unwrap()), "sabato 1º agosto 2026, ore 00:30");
        let span_of = |from: &str, to: &str| span(from.parse().unwrap(), to.parse().unwrap());
        assert_eq!(span_of("2026-11-23T08:51:00Z", "2026-11-23T09:04:59Z"), "23/11/2026, dalle 09:51 alle 10:04");
        assert_eq!(span_of("2026-11-23T08:51:00Z", "2026-11-23T08:51:30Z"), "23/11/2026 09:51");
        assert_eq!(span_of("2026-11-22T08:51:00Z", "2026-11-23T09:04:59Z"), "dal 22/11/2026 09:51 al 23/11/2026 10:04");
        assert_eq!(digest_title(1_210, kind(AlertKind::Anomaly)), "1.210 avvisi: anomalie di SEND");
        for (cents, want) in [(0, "0,00 €"), (124_050, "1.240,50 €"), (-5, "-0,05 €"), (123_456_789, "1.234.567,89 €")] {
            assert_eq!(euro(cents), want, "{cents}");
        }
        for (size, want) in [(7, "7 byte"), (412_000_000, "392 MiB"), (1_610_612_736, "1,5 GiB"), (1 << 40, "1.024 GiB")] {
            assert_eq!(bytes(size), want);
        }
        for (number, want) in [(0, "0"), (999, "999"), (1_000, "1.000"), (1_234_567, "1.234.567")] {
            assert_eq!(grouped(number), want);
        }
    }

    #[test]
    fn what_is_over_is_solved_and_the_report_is_a_note() {
        let table = [
            ("SEND_NON_RAGGIUNGIBILE", Tone::Problem, "inizio"),
            ("SEND_DI_NUOVO_RAGGIUNGIBILE", Tone::Solved, "fine"),
            ("LOTTO_PARZIALE", Tone::Attention, "unico"),
            ("TENTATIVI_ESAURITI", Tone::Attention, "unico"),
        ];
        for (code, tone_of, phase_of) in table {
            assert_eq!((tone(code), phase(code)), (tone_of, phase_of), "{code}");
        }
    }
}
