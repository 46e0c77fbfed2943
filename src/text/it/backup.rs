//! What operators read about copies and restores: why one was not made or put back, and what came after it.

/// Why there is no copy, by code.
pub fn fault(code: &str, dir: &str, detail: &str) -> String {
    match code {
        "CARTELLA_NON_VUOTA" => {
            format!(
                "{dir} contiene altri file e non è una cartella di copie di messo: indicare una cartella vuota, o una già usata per le copie"
            )
        }
        "CARTELLA_NEI_DATI" => {
            format!("{dir} sta dentro la cartella dei dati (o la contiene): la copia va altrove, meglio su un altro disco")
        }
        "PERCORSO_NON_ASSOLUTO" => format!("{dir}: indicare il percorso per intero"),
        "NESSUNA_COPIA" => format!("in {dir} non c'è una copia intera di messo"),
        "COPIA_IN_CORSO" => format!("in {dir} è già in corso un'altra copia: riprovare quando è finita"),
        "DISCO_PIENO" => {
            format!(
                "spazio finito in {dir}: la copia non è stata fatta e ciò che ne era stato scritto è stato tolto. Liberare spazio e ripetere"
            )
        }
        "COPIA_INTERROTTA" => "il servizio si sta fermando: la copia è stata interrotta e tolta. Ripetere a servizio acceso".to_owned(),
        _ => format!("la copia in {dir} non è riuscita: {detail}"),
    }
}

/// Why a copy was not put back, by code.
pub fn not_restored(code: &str, about: &str) -> String {
    match code {
        "CARTELLA_DATI_NON_VUOTA" => format!(
            "la cartella dei dati {about} non è vuota: il ripristino scrive soltanto in una cartella vuota. Spostare altrove ciò che contiene (non \
             cancellarlo), o indicare un'altra cartella in «data»"
        ),
        "CARTELLA_DATI_IN_USO" => {
            format!("la cartella dei dati {about} è in uso da un altro processo di messo: fermarlo prima di ripristinare")
        }
        "COPIA_ROVINATA" => format!("la copia non è intatta, e non è stata ripristinata: {about}. Provare con una copia precedente (--at)"),
        "COPIA_PIU_NUOVA" => {
            format!("la copia è stata fatta da una versione più recente di messo ({about}): installare quella versione, poi ripetere")
        }
        "CARTELLA_GESTIONALE_ASSENTE" => format!(
            "la cartella del gestionale {about} non è raggiungibile: senza guardarci messo potrebbe usare due volte lo stesso numero di file. \
             Montare la condivisione, poi ripetere"
        ),
        "NUMERI_ILLEGGIBILI" => {
            format!(
                "in {about} il file .messo/numeri non si legge: non si sa quali numeri siano già stati usati. Recuperarlo o toglierlo, poi ripetere"
            )
        }
        "CANCELLAZIONI_ILLEGGIBILI" => format!(
            "in {about} il file .messo/cancellati non si legge: non si sa di chi siano stati cancellati i dati dopo la copia. Recuperarlo, o toglierlo \
             e ripetere dopo il ripristino le cancellazioni chieste dalle persone"
        ),
        "DISCO_PIENO" => format!("spazio finito in {about}: il ripristino non è stato fatto e ciò che ne era stato scritto è stato tolto"),
        _ => format!("il ripristino non è riuscito: {about}"),
    }
}

/// In a data folder where a restore began.
pub const HALF_RESTORED: &str = "nella cartella dei dati un ripristino è cominciato e non è finito: ripetere «messo restore», che ricomincia da capo. \
     Fino ad allora il servizio non parte, per non inviare due volte gli stessi atti";

pub const NOT_RESTORED: &str = "nessun ripristino aspetta di essere rilasciato: gli invii non sono fermi per questo";

pub fn still_open(open: u64) -> String {
    format!(
        "{open} atti non sono ancora stati chiesti a SEND: aspettare che «messo restore show» dica 0, o, se un ente resta fermo, rilasciare \
         comunque con --skip-resync"
    )
}

pub fn gaps_open(batches: u64) -> String {
    format!(
        "{batches} lotti ricevuti dopo la copia non sono ancora stati depositati di nuovo: possono contenere annullamenti e modifiche. Sono \
         elencati da «messo restore show»; per rilasciare comunque: --accept-gaps"
    )
}

pub fn erasures_open(erasures: u64) -> String {
    format!(
        "{erasures} cancellazioni chieste dalle persone dopo la copia non si possono ancora ripetere: nella copia quegli atti sono aperti. messo \
         le ripete da sé appena SEND li dà per conclusi; «messo restore show» le elenca. Per rilasciare comunque: --accept-gaps"
    )
}

pub const NO_KEEPER: &str = "chi ha risposto non può fare copie";

/// Title of the gaps of one kind.
pub fn gap_title(kind: &str) -> &'static str {
    match kind {
        "NUMERI" => "File numerati che la copia non conosceva: i numeri non saranno riusati",
        "LOTTO" => "Lotti presi in carico dopo la copia: vanno depositati di nuovo, gli stessi file",
        "ATTO" => "Atti negli esiti pubblicati dopo la copia, sconosciuti o ritirati",
        "EVENTO" => "Notifiche di cui SEND parla e che messo non conosce (possono essere di un altro programma dell'ente)",
        "CANCELLAZIONE" => "Cancellazioni chieste dalle persone dopo la copia: i dati erano tornati, messo li cancella di nuovo",
        "DEPOSITO" => "Depositi che erano in lettura al momento della copia",
        _ => "Altro",
    }
}

pub const REPLAY_UNFINISHED: &str = "il lotto è ancora in lettura: si rielabora quando ha la sua ricevuta";
pub const REPLAY_TRIAL: &str = "il lotto era una prova: per riprovare basta depositarlo di nuovo in in/prova/";
pub const REPLAY_NO_ARCHIVE: &str = "del lotto non è conservato l'archivio: va depositato di nuovo";

pub fn replay_duplicate(first: &str) -> String {
    format!("il lotto è un duplicato: si rielabora il primo, {first}")
}

pub fn replay_under_way(other: &str) -> String {
    format!("una rielaborazione del lotto è già in corso: {other}")
}

pub const ALREADY_PAUSED: &str = "il lotto è già fermo";
pub const NOT_PAUSED: &str = "il lotto non è fermo: non c'è nulla da riprendere";
