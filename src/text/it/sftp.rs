//! What clients of the SFTP door show to people, and what operators read of it.

pub const NO_SCP: &str = "messo: il vecchio protocollo scp non è disponibile. Usare «scp -s» (OpenSSH 8.7 o successivo), «sftp», oppure \
     impostare SFTP come protocollo nel programma.\r\n";
pub const NO_SHELL: &str = "messo: questo server accetta soltanto SFTP, non comandi né terminali.\r\n";
pub const TOO_MANY_SESSIONS: &str = "troppe sessioni aperte con questo account: chiuderne una e riprovare";
pub const STOPPING: &str = "il servizio si sta fermando: riprovare fra qualche minuto";
pub const EXPIRED: &str = "l'account è scaduto o è stato tolto dalla configurazione";
pub const IDLE: &str = "sessione chiusa per inattività";
pub const PROTOCOL_ERROR: &str = "richieste fuori dalle regole del protocollo";
pub const PACKET_TOO_LONG: &str = "una richiesta supera i 256 KiB: impostare nel programma blocchi da 255 KiB o meno";

pub const PASSWORD_ONCE: &str = "Password: ";
pub const PASSWORD_AGAIN: &str = "Ripetere la password: ";
pub const PASSWORD_DIFFERS: &str = "le due password sono diverse";
pub const PASSWORD_LENGTH: &str = "la password deve avere da 1 a 1024 byte";
pub const PASSWORD_FAILED: &str = "la password non può essere cifrata: mancano memoria o numeri casuali";
pub const PASSWORD_UNREADABLE: &str = "la password non si può leggere";

pub fn not_an_address(text: &str) -> String {
    format!("«{text}» non è un indirizzo IP")
}

pub fn not_banned(address: &str) -> String {
    format!("l'indirizzo {address} non è bloccato")
}

pub fn not_a_moment(text: &str) -> String {
    format!("«{text}» non è una data: scrivere per esempio 2026-11-22 oppure 2026-11-22T10:30")
}

pub const NO_LINES: &str = "Nessuna riga.\n";

/// What the check of the books says.
pub fn seals(rows: u64, broken: Option<i64>) -> String {
    match broken {
        None => format!("Registro degli ordini integro: {rows} righe controllate.\n"),
        Some(row) => format!("Registro degli ordini ALTERATO: la riga {row}, o una prima di essa, è stata cambiata o tolta.\n"),
    }
}

pub const NO_DOOR: &str = "il servizio SFTP non è acceso: manca il blocco [sftp] nella configurazione, oppure messo non è in servizio";
pub const NO_KEYS: &str = "nessuna chiave: saranno create al primo avvio del servizio con [sftp]";

pub fn cannot_listen(address: &str, detail: &str) -> String {
    format!("il server SFTP non può ascoltare su {address}: {detail}")
}
