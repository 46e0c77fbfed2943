//! What the running service says of itself: to systemd, on its health page, and when its configuration is read again.

/// Status line while the configuration is read again.
pub const RELOADING: &str = "rilegge la configurazione";
/// Added to the status line after a reload that was refused.
pub const NOT_RELOADED: &str = "; la configurazione riletta non si può usare: vale quella di prima";
/// Status line and reason: the service is ending.
pub const STOPPING: &str = "in arresto: nessun lavoro nuovo, si finisce quello in corso";
/// The store does not write or read in time.
pub const STORE_SILENT: &str = "l'archivio dei dati non risponde";
/// Under the reserve no drop is taken.
pub const DISK_FULL: &str = "spazio libero sotto limits.disk_reserve_bytes: nessun lotto è preso";

/// Said by a hub that was asked to try something.
pub const TRIAL_UNREADABLE: &str = "Il servizio non può usare la configurazione com'è ora nel file:";
pub const TRIAL_NOT_RELOADED: &str =
    "Attenzione: il servizio lavora ancora con la configurazione di prima. Per usare quella provata: systemctl reload messo";

/// Status line: how many there are.
#[must_use]
pub fn in_service(enti: usize, gestionali: usize) -> String {
    format!("in servizio (enti: {enti}, gestionali: {gestionali})")
}

/// The store answers with an error.
#[must_use]
pub fn store_fails(detail: &str) -> String {
    format!("l'archivio dei dati risponde con un errore: {detail}")
}

/// A main loop does not come round; `name` as in the figures.
#[must_use]
pub fn loop_silent(name: &str) -> String {
    let what = match name {
        "dispatch" => "l'esecuzione dei lavori",
        "queue" => "la presa in carico dei depositi",
        "sweep" => "il controllo periodico",
        "publish" => "la pubblicazione dei file (una cartella di rete non risponde?)",
        "intake" => "l'osservazione delle cartelle (una cartella di rete non risponde?)",
        other => other,
    };
    format!("è ferma da troppo tempo: {what}")
}

/// What a reload leaves as it was: only a restart of the service changes it.
#[must_use]
pub fn wants_restart(what: &str) -> String {
    format!("{what}: vale solo dopo un riavvio del servizio (systemctl restart messo); fino ad allora resta com'era")
}

/// An ente that is no longer in the file.
#[must_use]
pub fn ente_removed(tax_id: &str) -> String {
    format!("l'ente {tax_id} non è più nella configurazione")
}

/// An ente that would send elsewhere.
#[must_use]
pub fn ente_moved(tax_id: &str) -> String {
    format!("l'ente {tax_id} ha un altro ambiente o un altro indirizzo di SEND")
}

/// A key that is no longer in the file.
#[must_use]
pub fn key_removed(channel: &str) -> String {
    format!("la chiave {channel} non è più nella configurazione")
}

/// A gestionale that is no longer in the file.
#[must_use]
pub fn source_removed(name: &str) -> String {
    format!("il gestionale {name} non è più nella configurazione (il suo account SFTP, se ne aveva uno, è già chiuso)")
}

/// A gestionale with another folder.
#[must_use]
pub fn source_moved(name: &str) -> String {
    format!("il gestionale {name} ha un'altra cartella (il suo account SFTP, se ne ha uno, fino ad allora resta chiuso)")
}

/// A key of the configuration that only a start reads.
#[must_use]
pub fn key_changed(key: &str) -> String {
    format!("«{key}» è cambiato")
}

/// A new gestionale on a folder that another one still has.
#[must_use]
pub fn source_in_use(name: &str) -> String {
    format!("il gestionale nuovo {name} usa la cartella di uno che la sorveglia ancora")
}

/// The secret of a key cannot be read.
#[must_use]
pub fn secret_unreadable(channel: &str, detail: &str) -> String {
    format!(
        "il segreto della chiave {channel} non si può leggere ({detail}); una credenziale nuova o cambiata di systemd si vede solo dopo \
         systemctl restart messo"
    )
}

/// A start that fails for a place of the disk.
#[must_use]
pub fn cannot_use(path: &str, user: &str, reason: &str) -> String {
    format!("il servizio non può partire: {path} non è utilizzabile dall'utente {user}: {reason}")
}

/// Another process answers on the control socket.
#[must_use]
pub fn socket_taken(path: &str) -> String {
    format!("il servizio non può partire: su {path} risponde già un altro processo; due configurazioni hanno lo stesso control?")
}

/// Something else has the name of the control socket.
#[must_use]
pub fn not_a_socket(path: &str) -> String {
    format!("il servizio non può partire: {path} esiste e non è un socket")
}

/// What `messo check` adds when root asks: root may everything.
pub const CHECKED_AS_ROOT: &str =
    "nota: controllato come root, che può tutto; per i permessi delle cartelle: runuser -u messo -- messo check";
