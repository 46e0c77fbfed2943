//! The texts of every [`Code`], in the order of the list.

use super::Entry;
use crate::batch::problem::Code;

const ATTESO: &str = "atteso: {}";
const CARATTERI: &str = "al massimo {} caratteri";
const MASSIMO: &str = "al massimo {}";
const GIA: &str = "anche alla {}";

/// The texts of `code`. No `_` arm: a new code does not compile until it has its own.
pub(super) fn entry(code: Code) -> Entry {
    let (what, wanted, cause, remedy) = match code {
        // the drop
        Code::NotAnArchive => (
            "Il file non è un archivio ZIP leggibile né un lotto XML o CSV",
            ATTESO,
            "Il file ha un'altra natura (RAR, 7z, PDF sciolto) o è rovinato.",
            "Preparare un file ZIP con il lotto e i PDF e depositarlo di nuovo.",
        ),
        Code::ArchiveTruncated => (
            "L'archivio ZIP è tronco",
            ATTESO,
            "Il trasferimento si è interrotto prima della fine.",
            "Depositare di nuovo il file intero, con un nome temporaneo durante la copia o con il compagno .ok o .sha256.",
        ),
        Code::ArchiveCrc => (
            "Un file dell'archivio è rovinato (CRC errato)",
            ATTESO,
            "L'archivio si è guastato durante la creazione o il trasferimento.",
            "Creare di nuovo l'archivio e depositarlo.",
        ),
        Code::ArchiveEncrypted => (
            "Un file dell'archivio è protetto da password",
            ATTESO,
            "Lo ZIP è stato creato con una password.",
            "Creare l'archivio senza password: la riservatezza è data dal canale.",
        ),
        Code::ArchiveMethod => (
            "Un file dell'archivio usa una compressione non supportata",
            ATTESO,
            "Il programma che ha creato lo ZIP usa un metodo diverso da «deflate» o «stored».",
            "Creare l'archivio con la compressione ZIP normale.",
        ),
        Code::ArchiveName => (
            "Un nome di file nell'archivio non è ammesso",
            ATTESO,
            "Il nome è assoluto, risale le cartelle con «..» o contiene caratteri di controllo.",
            "Rinominare il file nell'archivio con un nome relativo.",
        ),
        Code::ArchiveLink => (
            "L'archivio contiene un collegamento invece di un file",
            ATTESO,
            "Lo ZIP è stato creato conservando i collegamenti simbolici.",
            "Mettere nell'archivio il file vero.",
        ),
        Code::ArchiveDuplicateName => (
            "Due file dell'archivio hanno lo stesso nome",
            ATTESO,
            "Lo ZIP è stato aggiornato aggiungendo un file già presente.",
            "Creare di nuovo l'archivio con nomi tutti diversi.",
        ),
        Code::ArchiveTooManyEntries => {
            ("L'archivio contiene troppi file", MASSIMO, "Il lotto supera il limite configurato.", "Dividere il lotto in più archivi.")
        }
        Code::ArchiveEntryTooBig => (
            "Un file dell'archivio è troppo grande",
            MASSIMO,
            "Il file supera il limite configurato.",
            "Ridurre il file (per esempio la risoluzione delle scansioni).",
        ),
        Code::ArchiveTooBig => {
            ("L'archivio è troppo grande", MASSIMO, "La somma dei file supera il limite configurato.", "Dividere il lotto in più archivi.")
        }
        Code::ArchiveRatio => (
            "L'archivio è compresso in misura sospetta",
            MASSIMO,
            "Il rapporto di compressione è quello di un archivio costruito per fare danni.",
            "Verificare l'archivio; se è genuino, crearlo con una compressione minore.",
        ),
        Code::ArchiveOverlap => (
            "L'archivio ha file sovrapposti",
            ATTESO,
            "La struttura dello ZIP è alterata.",
            "Creare di nuovo l'archivio con un programma diverso.",
        ),
        Code::NoLayout => (
            "Nessun tracciato conosciuto corrisponde al contenuto",
            ATTESO,
            "Manca lotto.xml o lotto.csv, oppure le intestazioni non sono quelle di un tracciato letto da messo.",
            "Controllare il nome del file di lotto e le sue intestazioni con docs/tracciato.md.",
        ),
        Code::TwoLayouts => (
            "Il contenuto corrisponde a più di un tracciato",
            ATTESO,
            "L'archivio contiene due file di lotto.",
            "Lasciare nell'archivio un solo file di lotto.",
        ),
        Code::EmptyBatch => (
            "Il lotto non contiene atti",
            ATTESO,
            "Il file di lotto ha solo l'intestazione.",
            "Esportare di nuovo il lotto con almeno un atto.",
        ),
        Code::TooManyRows => ("Il lotto contiene troppi atti", MASSIMO, "Il lotto supera il limite configurato.", "Dividere il lotto."),
        Code::LayoutUnexpected => (
            "Il tracciato non è tra quelli previsti dal flusso",
            ATTESO,
            "Il lotto è stato depositato nel flusso di un altro gestionale, o il flusso non elenca il tracciato.",
            "Verificare il flusso; il lotto è stato letto comunque.",
        ),
        Code::CountMismatch => (
            "Gli atti del lotto non sono quanti il lotto dichiara",
            ATTESO,
            "Il lotto è stato esportato a metà, o il numero dichiarato è sbagliato.",
            "Esportare di nuovo il lotto e depositarlo intero.",
        ),
        Code::Incomplete => (
            "Il file non è mai arrivato intero",
            ATTESO,
            "Il deposito è cominciato e non è finito entro il tempo previsto.",
            "Depositare di nuovo il file.",
        ),
        Code::CompanionMismatch => (
            "L'impronta del file è diversa da quella del file compagno",
            ATTESO,
            "Il file è cambiato dopo il calcolo dell'impronta, o si è rovinato nel trasferimento.",
            "Depositare di nuovo il file con il suo .sha256 o .md5.",
        ),
        Code::CompanionUnreadable => (
            "Il file compagno con l'impronta non si legge più",
            ATTESO,
            "Il file compagno si è rovinato dopo il deposito: non si può dire se il file è intero.",
            "Depositare di nuovo il file con il suo .sha256 o .md5.",
        ),
        Code::DuplicateDrop => (
            "Lo stesso contenuto è già stato ricevuto",
            "ricevuto con {}",
            "Il file è stato depositato due volte, forse con un altro nome.",
            "Nessuna azione: vale la prima ricevuta.",
        ),
        Code::SenderUnknown => (
            "Il gestionale non è autorizzato a inviare per questo ente",
            ATTESO,
            "L'ente del lotto non è nell'elenco del gestionale.",
            "Correggere il codice fiscale dell'ente o chiedere a chi gestisce messo di autorizzarlo.",
        ),
        Code::FlowUnknown => (
            "Il gestionale non è autorizzato a usare questo flusso",
            ATTESO,
            "Il flusso non esiste o non è nell'elenco del gestionale.",
            "Correggere il nome del flusso o chiedere a chi gestisce messo di autorizzarlo.",
        ),
        Code::FlowMissing => (
            "Non si capisce a quale flusso appartiene il lotto",
            ATTESO,
            "Il lotto non nomina il flusso, non è in una sottocartella e il gestionale non ne ha uno predefinito.",
            "Depositare il file nella sottocartella del flusso (per esempio in/cds/) o indicare il flusso nel lotto.",
        ),
        Code::AllOrNothing => (
            "Il lotto è scartato per intero perché contiene righe errate",
            ATTESO,
            "Il flusso accetta un lotto solo se tutte le sue righe sono corrette.",
            "Correggere le righe segnalate e depositare di nuovo il lotto intero.",
        ),
        Code::FoldersAndRows => (
            "Le cartelle dell'archivio non corrispondono alle righe",
            ATTESO,
            "Il tracciato vuole una cartella per riga, numerate da 1, e il conto non torna.",
            "Esportare di nuovo l'archivio: un documento dato alla riga sbagliata sarebbe notificato al cittadino sbagliato.",
        ),
        Code::ShiftedFolders => (
            "I documenti sono in cartelle di altre righe",
            "il file è in {}",
            "L'impronta dichiarata da una riga è quella del file di un'altra: le cartelle sono scambiate o slittate.",
            "Esportare di nuovo l'archivio: nessuna riga è stata accettata, per non notificare al cittadino sbagliato.",
        ),
        Code::DropChanged => (
            "Il file è cambiato mentre messo lo esaminava",
            ATTESO,
            "Un programma che lo teneva ancora aperto ha scritto nel file dopo il deposito.",
            "Chiudere il programma che scrive il file e depositarlo di nuovo, intero: nessun atto è stato preso in carico.",
        ),
        Code::DropUnreadable => (
            "Il file depositato non si apre o non si legge",
            ATTESO,
            "Mancano i permessi di lettura, il disco o la condivisione danno errore, o qualcuno ha tolto il file.",
            "Verificare permessi e disco con chi gestisce messo, poi depositare di nuovo il file.",
        ),
        Code::InternalError => (
            "messo non è riuscito a esaminare il file per un guasto proprio",
            ATTESO,
            "Un errore del programma o del sistema, non del file.",
            "Avvisare chi gestisce messo; il file non va modificato.",
        ),
        // reading rows
        Code::XmlMalformed => (
            "Il file XML non è ben formato",
            ATTESO,
            "Un elemento non è chiuso, un carattere non è protetto o il file è tronco.",
            "Correggere l'esportazione e verificarla con lo schema XSD pubblicato.",
        ),
        Code::XmlForbidden => (
            "Il file XML usa un costrutto vietato",
            ATTESO,
            "DTD, entità e istruzioni di elaborazione non sono ammesse.",
            "Togliere il DOCTYPE e le entità dal file.",
        ),
        Code::XmlUnknownElement => (
            "Il file XML contiene un elemento o un attributo sconosciuto",
            ATTESO,
            "Il nome è scritto male o appartiene a un'altra versione del tracciato.",
            "Correggere il nome secondo lo schema XSD.",
        ),
        Code::XmlTooDeep => (
            "Il file XML ha troppi livelli",
            MASSIMO,
            "Il file non è un lotto, o è costruito per fare danni.",
            "Verificare l'esportazione con lo schema XSD.",
        ),
        Code::EncodingInvalid => (
            "Il testo non è nella codifica dichiarata",
            ATTESO,
            "Il file non è UTF-8 (o Windows-1252 per i CSV).",
            "Esportare il file in UTF-8.",
        ),
        Code::CsvMalformed => (
            "Il file CSV non è leggibile",
            ATTESO,
            "Virgolette non chiuse o separatore non riconosciuto.",
            "Usare «;» o «,» come separatore e racchiudere tra virgolette i testi che lo contengono.",
        ),
        Code::CsvColumnCount => (
            "La riga ha un numero di colonne diverso dall'intestazione",
            ATTESO,
            "Un testo contiene il separatore senza virgolette, o la riga è tronca.",
            "Racchiudere tra virgolette i testi che contengono il separatore.",
        ),
        Code::ColumnMissing => (
            "Manca una colonna obbligatoria",
            ATTESO,
            "L'intestazione non contiene la colonna, o il nome è scritto male.",
            "Aggiungere la colonna con il nome esatto.",
        ),
        Code::ColumnTwice => ("Una colonna compare due volte", ATTESO, "L'intestazione ripete un nome.", "Togliere la colonna ripetuta."),
        Code::ColumnUnknown => (
            "Una colonna non è conosciuta",
            ATTESO,
            "Il nome è scritto male o non appartiene al tracciato.",
            "Correggere il nome; per restituire dati propri usare le colonne eco.",
        ),
        Code::FieldTooLong => ("Il testo è troppo lungo", CARATTERI, "Il campo supera il limite di SEND.", "Abbreviare il testo."),
        Code::FieldMissing => (
            "Un campo obbligatorio è vuoto o manca",
            ATTESO,
            "Il gestionale non ha esportato il dato, e il flusso non lo fornisce.",
            "Completare il campo.",
        ),
        Code::FieldNotAllowed => {
            ("Il campo non è ammesso qui", ATTESO, "Il campo riguarda un altro tipo di atto o di azione.", "Togliere il valore dal campo.")
        }
        Code::FieldTwice => ("Il campo compare due volte", ATTESO, "Il lotto ripete lo stesso campo.", "Lasciare il campo una volta sola."),
        Code::ValueUnknown => (
            "Il valore non è tra quelli ammessi",
            "ammessi: {}",
            "Il valore è scritto male o appartiene a un'altra versione del tracciato.",
            "Usare uno dei valori elencati in docs/tracciato.md.",
        ),
        Code::NumberInvalid => (
            "Il numero non è valido",
            ATTESO,
            "Il campo contiene lettere o segni, o un numero troppo grande; oppure un foglio elettronico ha messo zeri al posto delle cifre oltre la quindicesima.",
            "Scrivere solo cifre; nel foglio elettronico, formattare la colonna come Testo prima di incollare i dati.",
        ),
        Code::AmountInvalid => (
            "L'importo non è valido",
            ATTESO,
            "L'importo ha il punto al posto della virgola, più di due decimali o segni estranei.",
            "Scrivere l'importo con la virgola e due decimali, per esempio 1234,56.",
        ),
        Code::DateInvalid => (
            "La data non è valida",
            ATTESO,
            "La data non esiste o non è nel formato previsto.",
            "Scrivere la data come gg/mm/aaaa o aaaa-mm-gg.",
        ),
        Code::LeadingZerosLost => (
            "Mancano gli zeri iniziali",
            "forse {}",
            "Il file è passato per un foglio elettronico, che toglie gli zeri iniziali.",
            "Esportare il campo come testo, con tutte le cifre.",
        ),
        Code::RowsNotAdjacent => (
            "Le righe dello stesso atto non sono vicine",
            GIA,
            "Le righe sono state riordinate. È scartato tutto l'atto, anche le prime righe.",
            "Ordinare il file per riferimento, con le righe di un atto una di seguito all'altra.",
        ),
        Code::RowsDisagree => (
            "Le righe dello stesso atto non concordano",
            ATTESO,
            "I dati dell'atto sono diversi tra una riga e l'altra.",
            "Ripetere gli stessi dati dell'atto in tutte le sue righe.",
        ),
        // the act
        Code::ReferenceInvalid => (
            "Il riferimento dell'atto non è valido",
            "da {} caratteri, senza a capo",
            "Il riferimento è vuoto, troppo lungo o contiene caratteri di controllo.",
            "Dare all'atto un riferimento di 1-128 caratteri stampabili, unico per sempre.",
        ),
        Code::ReferenceTwice => (
            "Lo stesso riferimento compare due volte nel lotto",
            GIA,
            "Due atti hanno lo stesso riferimento. Sono scartati tutti e due.",
            "Dare a ogni atto il suo riferimento.",
        ),
        Code::ActDuplicate => (
            "L'atto è già stato ricevuto, identico",
            "ricevuto con {}",
            "La riga è stata depositata di nuovo.",
            "Nessuna azione: l'atto è già in lavorazione.",
        ),
        Code::ActExists => (
            "Esiste già un atto con questo riferimento e altro contenuto",
            "ricevuto con {}",
            "Il riferimento è stato usato di nuovo per un atto diverso.",
            "Usare un nuovo riferimento, oppure l'azione «modifica» o «sostituisci».",
        ),
        Code::ActUnknown => (
            "L'atto a cui si riferisce l'azione non è conosciuto",
            ATTESO,
            "Il riferimento è scritto male o l'atto non è mai stato accettato.",
            "Controllare ente e riferimento dell'atto originale.",
        ),
        Code::ActAlreadySent => (
            "L'atto è già stato inviato a SEND e non si può modificare",
            ATTESO,
            "La modifica è possibile solo prima dell'invio.",
            "Usare l'azione «sostituisci» o «annulla».",
        ),
        Code::ActClosed => (
            "L'atto non si può annullare",
            ATTESO,
            "L'atto è stato rifiutato o è già annullato.",
            "Nessuna azione; per notificarlo di nuovo depositarlo con l'azione «inserisci».",
        ),
        Code::ConflictsWithFlow => (
            "Il valore contrasta con quello deciso dal flusso",
            "il flusso vuole {}",
            "Tassonomia, tipo di comunicazione e politica dei costi sono decisi dal flusso: una raccomandata 890 non può diventare AR.",
            "Lasciare vuoto il campo o ripetere il valore del flusso; se l'atto è di un altro tipo, depositarlo nel flusso giusto. Una `modifica` va depositata nel flusso del primo deposito.",
        ),
        Code::ProtocolLive => (
            "Il protocollo è già usato da un atto in corso",
            "in {}",
            "Un altro atto dello stesso ente con questo protocollo non è ancora concluso.",
            "Controllare il protocollo; se è voluto, indicare il motivo nel campo forza.",
        ),
        Code::ProtocolTwice => (
            "Lo stesso protocollo compare due volte nel lotto",
            GIA,
            "Due atti dello stesso ente hanno lo stesso protocollo. Sono scartati tutti e due.",
            "Controllare il protocollo; se è voluto, indicare il motivo nel campo forza.",
        ),
        Code::DocumentLive => (
            "Lo stesso documento è già in notifica allo stesso destinatario",
            "in {}",
            "Un altro atto in corso ha lo stesso documento principale e lo stesso destinatario.",
            "Verificare che non sia un doppione; se è voluto, indicare il motivo nel campo forza.",
        ),
        Code::DocumentTwice => (
            "Lo stesso documento è indirizzato due volte allo stesso destinatario",
            GIA,
            "Due atti del lotto hanno lo stesso documento principale e lo stesso destinatario. Sono scartati tutti e due.",
            "Verificare che non sia un doppione e toglierlo; se è voluto, indicare il motivo nel campo forza.",
        ),
        Code::NoticeLive => (
            "L'avviso di pagamento è già usato da un atto in corso",
            "in {}",
            "SEND accetta un avviso in una sola notifica attiva.",
            "Annullare l'altra notifica o emettere un nuovo avviso.",
        ),
        Code::NoticeTwice => (
            "Lo stesso avviso di pagamento compare due volte",
            GIA,
            "Due destinatari o due atti hanno lo stesso numero di avviso, che SEND accetta una volta sola. Sono scartati tutti e due gli atti.",
            "Dare a ogni destinatario il suo avviso, o indicarlo solo per il primo.",
        ),
        Code::CharsetInvalid => (
            "Il testo contiene caratteri non ammessi",
            ATTESO,
            "SEND accetta negli indirizzi lettere senza accento, cifre, spazio e . / ' - e nelle denominazioni i soli caratteri latini.",
            "Togliere i segni non ammessi o attivare la traslitterazione nel flusso.",
        ),
        Code::PersonalDataInSubject => (
            "L'oggetto o la descrizione contiene dati del destinatario",
            ATTESO,
            "Oggetto e descrizione compaiono in elenchi e messaggi: SEND vieta nome e codice fiscale.",
            "Togliere nome e codice fiscale dal testo.",
        ),
        Code::SenderTaxIdInvalid => (
            "Il codice fiscale dell'ente non è valido",
            ATTESO,
            "Non sono 11 cifre, la cifra di controllo è errata o non è quello dell'ente configurato.",
            "Correggere il codice fiscale dell'ente.",
        ),
        Code::TaxonomyUnknown => (
            "Il codice tassonomico non è tra quelli di SEND",
            ATTESO,
            "Il codice è scritto male o non è più in elenco.",
            "Usare un codice dell'elenco pubblicato da SEND.",
        ),
        Code::TaxonomyPayment => (
            "Il codice tassonomico non si accorda con i pagamenti",
            ATTESO,
            "Il codice termina con P (con pagamento) e l'atto non ne ha, oppure con N (senza) e l'atto ne ha.",
            "Verificare il codice tassonomico o i pagamenti: SEND accetta comunque l'atto.",
        ),
        Code::OutOfRange => {
            ("Il valore è fuori dai limiti", "ammesso: {}", "Il numero supera il limite di SEND o del campo.", "Correggere il valore.")
        }
        Code::GroupUnknown => (
            "Il gruppo non è tra quelli dell'ente",
            ATTESO,
            "Nessuna chiave dell'ente ha questo gruppo.",
            "Correggere il gruppo o chiedere a chi gestisce messo di configurarlo.",
        ),
        Code::FeePolicyIncomplete => (
            "Mancano i dati per addebitare i costi di notifica",
            "richiesto da {}",
            "Con DELIVERY_MODE servono costo dell'ente e IVA; con la modalità ASYNC serve il costo dell'ente.",
            "Compilare costo_ente e iva, nella riga o nel flusso.",
        ),
        Code::ApplyCostMissing => (
            "Nessun pagamento del destinatario porta i costi di notifica",
            ATTESO,
            "Con DELIVERY_MODE almeno un avviso (e almeno un F24, se ci sono) di ogni destinatario deve portare i costi.",
            "Mettere «sì» nel campo applica_costi di un pagamento per destinatario.",
        ),
        Code::ApplyCostForbidden => (
            "Un pagamento porta i costi di notifica ma la politica è FLAT_RATE",
            ATTESO,
            "Con FLAT_RATE i costi restano all'ente.",
            "Mettere «no» nel campo applica_costi.",
        ),
        Code::ApplyCostRepeated => (
            "Più avvisi dello stesso destinatario portano i costi di notifica",
            ATTESO,
            "SEND dà l'intero costo a ogni avviso che lo porta: chi paga le rate una per una lo pagherebbe più volte.",
            "Mettere «sì» in applica_costi di un avviso solo; se sono alternativi (si paga l'uno o l'altro), compilare gruppo_avvisi.",
        ),
        Code::IntModeConflict => (
            "La modalità pagoPA non si accorda con i pagamenti",
            ATTESO,
            "La modalità ASYNC vuole almeno un avviso pagoPA e costi a carico del destinatario.",
            "Usare SYNC o NONE, o aggiungere l'avviso.",
        ),
        Code::PaymentMissing => (
            "L'atto non ha pagamenti e il flusso li vuole",
            ATTESO,
            "Il flusso è di atti con pagamento.",
            "Aggiungere l'avviso o l'F24, o depositare l'atto nel flusso senza pagamento.",
        ),
        Code::PaymentForbidden => (
            "L'atto ha pagamenti e il flusso non li ammette",
            ATTESO,
            "Il flusso è di atti senza pagamento.",
            "Togliere i pagamenti, o depositare l'atto nel flusso con pagamento.",
        ),
        Code::IunInvalid => (
            "Lo IUN non è valido",
            ATTESO,
            "Lo IUN ha 25 caratteri, come XXXX-XXXX-XXXX-AAAAMM-X-1, con una lettera di controllo.",
            "Copiare lo IUN dall'esito dell'atto annullato.",
        ),
        Code::AmountRuleInvalid => (
            "La regola dell'importo non è coerente",
            "serve: {}",
            "I passi mancano, i giorni non crescono o un passo senza termine non è l'ultimo.",
            "Correggere i passi della regola.",
        ),
        Code::AmountRuleIncomplete => (
            "La regola dell'importo chiede un dato che la riga non ha",
            ATTESO,
            "La regola conta da una data, o prende un percento di un importo, che la riga non riporta.",
            "Aggiungere il dato, o scegliere un'altra regola.",
        ),
        Code::AmountRuleMismatch => (
            "L'importo dell'atto non è fra quelli della regola",
            ATTESO,
            "L'importo comprende altre spese, o la regola non è quella dell'atto.",
            "Verificare l'importo; le spese dell'ente vanno nella voce regola_spese.",
        ),
        Code::AmountRuleUnfollowed => (
            "Con più avvisi la regola dell'importo può non essere seguita",
            ATTESO,
            "I passi sono dell'intero importo dell'atto. Si seguono per un avviso fra più d'uno solo se ogni destinatario ha un avviso solo e il \
             partner tecnologico ne dice un importo della regola; altrimenti l'importo resta quello del partner, più i costi.",
            "Nessuna azione se sono rate o alternative; per un debito in solido mettere un avviso solo, su un destinatario.",
        ),
        Code::CostBearersUnfollowed => (
            "Si chiede il costo di notifica del solo intestatario, non di tutti",
            ATTESO,
            "La regola chiede i costi di tutti i destinatari, ma con ASYNC il costo lo scrive SEND nella posizione, e scrive quello del \
             destinatario che ha l'avviso: gli altri restano all'ente.",
            "Per chiedere i costi di tutti usare SYNC con un partner tecnologico a cui messo dice l'importo; altrimenti nessuna azione.",
        ),
        Code::DatePast => (
            "La data è già passata",
            ATTESO,
            "Il termine di notifica o la scadenza di pagamento è anteriore a oggi.",
            "Verificare la data prima che l'atto parta.",
        ),
        Code::EchoTooMany => {
            ("Ci sono troppi campi eco", MASSIMO, "Un atto può avere al massimo 10 campi eco.", "Togliere i campi in più.")
        }
        // recipients
        Code::RecipientsMissing => {
            ("L'atto non ha destinatari", ATTESO, "Il gestionale non ha esportato il destinatario.", "Aggiungere almeno un destinatario.")
        }
        Code::RecipientsTooMany => {
            ("L'atto ha troppi destinatari", MASSIMO, "SEND accetta 15 destinatari per notifica.", "Dividere l'atto in più notifiche.")
        }
        Code::RecipientTwice => (
            "Lo stesso destinatario compare due volte nell'atto",
            ATTESO,
            "Due destinatari hanno lo stesso codice fiscale.",
            "Lasciare il destinatario una volta sola.",
        ),
        Code::TaxIdInvalid => (
            "Il codice fiscale del destinatario non è valido",
            ATTESO,
            "Lunghezza, posizione di lettere e cifre, mese, giorno o carattere di controllo non tornano.",
            "Verificare il codice fiscale in anagrafe o all'Agenzia delle Entrate.",
        ),
        Code::TaxIdKind => (
            "Il codice fiscale non è del tipo del destinatario",
            "{}",
            "Le persone (PF, anche ditte individuali e professionisti) hanno 16 caratteri; le società e gli enti (PG) 11 cifre.",
            "Correggere il tipo di destinatario, o indicare il codice fiscale della persona al posto della partita IVA.",
        ),
        Code::PecInvalid => (
            "L'indirizzo PEC non è valido",
            ATTESO,
            "L'indirizzo non ha la forma nome@dominio.it o supera 320 caratteri.",
            "Correggere la PEC o lasciare vuoto il campo.",
        ),
        Code::AddressMissing => (
            "Manca l'indirizzo del destinatario",
            ATTESO,
            "L'ente non è abilitato alla ricerca dell'indirizzo da parte di SEND.",
            "Aggiungere l'indirizzo.",
        ),
        Code::AddressLineTooLong => (
            "Una riga dell'indirizzo non entra nella finestra della busta",
            "{} caratteri per riga",
            "L'indirizzo si stampa su 5 righe di 44 caratteri (6 all'estero): nome; resto del nome e presso; dettagli e frazione; via; CAP, comune e provincia.",
            "Abbreviare i campi della riga indicata.",
        ),
        Code::ProvinceMissing => (
            "Manca la provincia",
            ATTESO,
            "Per gli indirizzi italiani la sigla della provincia è obbligatoria.",
            "Aggiungere la sigla di due lettere, o lo Stato estero.",
        ),
        Code::ProvinceUnknown => (
            "La sigla della provincia non è conosciuta",
            ATTESO,
            "La sigla è scritta male, o è il nome della provincia invece della sigla.",
            "Correggere la sigla (due lettere).",
        ),
        Code::ZipInvalid => (
            "Il CAP non è valido",
            ATTESO,
            "Il CAP italiano ha 5 cifre; all'estero il codice postale ha al massimo 15 lettere, cifre, spazi e trattini.",
            "Correggere il CAP.",
        ),
        Code::MunicipalityUnknown => (
            "Il comune non è nell'elenco dei comuni italiani",
            ATTESO,
            "Il nome è scritto male, è una frazione, o la tabella di messo non è aggiornata.",
            "Verificare il nome del comune; la frazione va nel suo campo.",
        ),
        Code::MunicipalityProvince => (
            "Il comune non è in questa provincia",
            "il comune è in {}",
            "La provincia è errata o è quella di prima di una riforma.",
            "Correggere la provincia o il comune.",
        ),
        Code::MunicipalityZip => (
            "Il CAP non è di questo comune",
            "il comune ha {}",
            "Il CAP è errato, o è cambiato dopo la data della tabella di messo.",
            "Verificare il CAP.",
        ),
        // payments
        Code::NoticeInvalid => (
            "Il numero di avviso non è valido",
            "{} cifre",
            "Il numero di avviso pagoPA ha 18 cifre; un foglio elettronico lo trasforma in 3,02E+17.",
            "Esportare il numero come testo, con tutte le cifre.",
        ),
        Code::NoticeCheckDigits => (
            "Le cifre di controllo del numero di avviso non tornano",
            ATTESO,
            "Le ultime due cifre devono essere il resto della divisione per 93 delle prime sedici.",
            "Verificare il numero di avviso con il partner tecnologico.",
        ),
        Code::CreditorInvalid => (
            "Il codice fiscale del creditore non è valido",
            ATTESO,
            "Non sono 11 cifre, o la cifra di controllo è errata.",
            "Correggere il codice fiscale dell'ente creditore.",
        ),
        Code::PaymentsTooMany => (
            "Il destinatario ha troppi pagamenti",
            MASSIMO,
            "Il numero di pagamenti supera il limite.",
            "Dividere i pagamenti tra più atti.",
        ),
        Code::F24Invalid => (
            "I metadati F24 non sono validi",
            ATTESO,
            "Il JSON non rispetta lo schema di SEND, o non ha esattamente una riga che porta i costi.",
            "Correggere il file JSON secondo lo schema pubblicato da SEND.",
        ),
        // documents
        Code::DocumentMissing => {
            ("L'atto non ha documenti", ATTESO, "Il gestionale non ha indicato il PDF dell'atto.", "Aggiungere almeno un documento.")
        }
        Code::DocumentsTooMany => {
            ("L'atto ha troppi documenti", MASSIMO, "SEND accetta 15 documenti per notifica.", "Unire i documenti in meno file.")
        }
        Code::FileMissing => (
            "Il file non è nell'archivio",
            "{}",
            "Il nome nella riga è diverso da quello nell'archivio, o il file è stato dimenticato.",
            "Aggiungere il file all'archivio o correggere il nome, cartella compresa.",
        ),
        Code::FileUnreferenced => (
            "Un file dell'archivio non è citato da nessuna riga",
            "{}",
            "Una riga manca dal lotto o scrive male il nome, oppure nell'archivio è rimasto un file di troppo.",
            "Aggiungere la riga dell'atto o togliere il file: un atto dimenticato non sarebbe mai notificato.",
        ),
        Code::FileShared => (
            "Lo stesso file è citato da più atti",
            GIA,
            "Due righe indicano lo stesso documento: di solito è un errore di abbinamento. Sono scartati tutti e due gli atti.",
            "Correggere il nome del file, o dichiararlo condiviso in tutti gli atti che lo citano.",
        ),
        Code::FileTwice => (
            "Lo stesso file è citato due volte nell'atto",
            ATTESO,
            "SEND non ammette lo stesso file due volte in una notifica.",
            "Citare il file una volta sola.",
        ),
        Code::FileDigest => (
            "L'impronta del file è diversa da quella indicata nella riga",
            "il file ha {}",
            "Il file è cambiato dopo l'esportazione, o la riga cita il file di un altro atto.",
            "Verificare che il file sia quello giusto ed esportare di nuovo.",
        ),
        Code::FileEmpty => ("Il file è vuoto", ATTESO, "Il gestionale non ha scritto il documento.", "Esportare di nuovo il documento."),
        Code::FileIsBatch => {
            ("La riga cita il file di lotto come documento", ATTESO, "Il nome del documento è errato.", "Correggere il nome del documento.")
        }
        Code::PdfInvalid => (
            "Il file non è un PDF",
            ATTESO,
            "Il file non comincia con %PDF- (può essere un .p7m, un'immagine o un documento di testo).",
            "Convertire il documento in PDF; la firma va apposta nel PDF (PAdES).",
        ),
        Code::PdfEncrypted => (
            "Il PDF è protetto",
            ATTESO,
            "Il PDF ha una password o restrizioni: SEND lo accetterebbe e poi non riuscirebbe a stamparlo.",
            "Salvare il PDF senza protezione.",
        ),
        Code::PdfTooBig => ("Il PDF è troppo grande", MASSIMO, "SEND accetta PDF fino a 200 MB.", "Ridurre il PDF."),
        Code::PdfTooManyPages => (
            "L'atto supera il peso ammesso per l'ente (20 grammi)",
            "limite: {}",
            "L'ente non è abilitato alla posta oltre 20 grammi: un documento fino a 4 pagine, o due fino a 2, senza allegati di pagamento.",
            "Ridurre le pagine, o chiedere l'abilitazione a SEND e segnarla nella configurazione.",
        ),
        Code::DocumentsNotAllowed => (
            "L'atto cita documenti ma il lotto è arrivato senza archivio",
            ATTESO,
            "Un file XML o CSV senza ZIP può contenere solo azioni senza documenti.",
            "Mettere il lotto e i documenti in un file ZIP.",
        ),
    };
    Entry { what, wanted, cause, remedy }
}
