//! Why an act waits or asks for a person, why a job is put off, and what operators are alerted about: messo's own codes
//! beside those of problems (`problems`) and of SEND's refusals. Printed in esiti, `status` and `act show`; listed in
//! `docs/codici.md`.

/// (code, sentence, what to do).
pub const CODES: &[(&str, &str, &str)] = &[
    // held
    ("OPERATORE", "Il flusso vuole il rilascio di un operatore prima dell'invio.", "messo batch release LOTTO"),
    ("PRIMI_ATTI", "I primi atti del lotto vanno da soli: gli altri seguono quando SEND li ha accettati.", "Nessuna azione."),
    ("ANNULLAMENTO_DEL_PRECEDENTE", "L'atto ne sostituisce un altro, il cui annullamento non è ancora completo.", "Nessuna azione."),
    // put off
    ("FASCIA_ORARIA", "Il flusso invia solo in una fascia oraria.", "Nessuna azione: parte all'apertura della fascia."),
    (
        "TETTO_DI_SPESA",
        "Il tetto di spesa del giorno dell'ente è raggiunto.",
        "Nessuna azione: riprende il giorno dopo. Il tetto è nella configurazione dell'ente.",
    ),
    ("QUOTA_DEL_GIORNO", "Le chiamate del giorno dell'ente verso SEND sono finite.", "Nessuna azione: riprende il giorno dopo."),
    (
        "FLUSSO_EVENTI_NON_ATTIVO",
        "Il flusso degli eventi di SEND non è ancora attivo: prima di allora non si invia.",
        "Nessuna azione; se dura, verificare rete e chiave.",
    ),
    ("IN_VALIDAZIONE", "SEND sta ancora esaminando la richiesta.", "Nessuna azione: la validazione dura al massimo 24 ore."),
    ("ATTESTAZIONE_NON_PRONTA", "SEND non ha ancora pronta l'attestazione.", "Nessuna azione: viene chiesta di nuovo."),
    ("NON_ANCORA_PRESENTE", "SEND non ha ancora quello che è stato chiesto.", "Nessuna azione: viene chiesto di nuovo."),
    ("SEND_NON_RISPONDE", "SEND non risponde, o risponde di riprovare.", "Nessuna azione: messo riprova da solo."),
    ("ESITO_INCERTO", "Non si sa se SEND ha preso la richiesta: viene chiesto prima di ripetere.", "Nessuna azione."),
    (
        "CARICAMENTO_RIFIUTATO",
        "SEND rifiuta il caricamento di un documento: viene annunciato di nuovo.",
        "Nessuna azione; se dura, aprire una segnalazione a SEND.",
    ),
    ("ARCHIVIO_DATI", "L'archivio di messo non si legge o non si scrive.", "Verificare il disco e i permessi della cartella dei dati."),
    (
        "CARTELLA_NON_RISPONDE",
        "La cartella del gestionale non risponde o non c'è (condivisione di rete ferma o smontata): i suoi file aspettano.",
        "Verificare la condivisione; messo riprova da solo, e gli altri gestionali vanno avanti.",
    ),
    ("DISCO", "Un file non può essere scritto nella cartella del gestionale.", "Verificare spazio e permessi della cartella."),
    (
        "INVII_FERMI",
        "Gli invii sono fermi: il lotto è stato fermato, o i dati vengono da un ripristino non ancora rilasciato.",
        "messo batch resume LOTTO, o messo restore release.",
    ),
    // a person is needed
    (
        "RIPRISTINO_DA_RILASCIARE",
        "I dati vengono da una copia: non si invia nulla di nuovo finché un operatore non lo rilascia.",
        "messo restore show, poi messo restore release.",
    ),
    (
        "OROLOGIO_SPOSTATO",
        "L'orologio della macchina è stato spostato in avanti o indietro: i lavori in attesa sono stati spostati con lui.",
        "Verificare il servizio dell'ora (NTP) della macchina.",
    ),
    (
        "CANCELLAZIONI_TRATTENUTE",
        "L'orologio della macchina è più di un giorno avanti rispetto al tempo che messo ha misurato: le cancellazioni a termine si \
         contano sul tempo misurato.",
        "Verificare data e ora della macchina (NTP). Se sono giuste, nessuna azione: dopo sette giorni di funzionamento messo le crede.",
    ),
    ("CANCELLAZIONI_RIPRESE", "Le cancellazioni a termine si contano di nuovo sull'orologio della macchina.", "Nessuna azione."),
    ("RIPRISTINO_RILASCIATO", "Dopo il ripristino gli invii sono ripresi.", "Nessuna azione."),
    ("TENTATIVI_ESAURITI", "Troppi tentativi senza risposta.", "Verificare che SEND sia raggiungibile, poi messo act retry."),
    (
        "NOTIFICA_NON_VISIBILE",
        "SEND non mostra alla chiave dell'atto una notifica che ha già creato: di solito la chiave ha cambiato gruppo o ente.",
        "Verificare su SEND i gruppi della chiave, poi messo act retry.",
    ),
    (
        "CHIAVE_RIFIUTATA",
        "SEND rifiuta la chiave o il voucher dell'ente: l'ente è fermo.",
        "Correggere la chiave nella configurazione, poi messo act retry --channel ENTE/CHIAVE.",
    ),
    (
        "QUOTA_SEND_ESAURITA",
        "L'ente ha esaurito le notifiche concesse da SEND: l'ente è fermo.",
        "Accordarsi con SEND, poi messo act retry --channel ENTE/CHIAVE.",
    ),
    (
        "GRUPPO_RIFIUTATO",
        "SEND rifiuta il gruppo: l'ente è fermo.",
        "Verificare i gruppi della chiave, poi messo act retry --channel ENTE/CHIAVE.",
    ),
    (
        "ENTE_NON_ABILITATO",
        "SEND non accetta l'ente come mittente: l'ente è fermo.",
        "Verificare l'adesione a SEND e il codice fiscale dell'ente, poi messo act retry --channel ENTE/CHIAVE.",
    ),
    (
        "CHIAVE_NON_CONFIGURATA",
        "L'ente o la chiave dell'atto non sono più nella configurazione.",
        "Rimetterli nella configurazione, poi messo act retry.",
    ),
    (
        "RIFIUTO_SCONOSCIUTO",
        "SEND ha rifiutato con un codice che messo non conosce.",
        "Leggere il registro (traceId), poi messo act retry, o messo act cancel: se SEND conferma di non avere la richiesta l'atto è ritirato.",
    ),
    (
        "RISPOSTA_NON_CONFORME",
        "Una risposta di SEND, o del partner tecnologico, non rispetta la sua specifica.",
        "Aprire una segnalazione con il traceId, poi messo act retry.",
    ),
    ("DOCUMENTO_NON_CONSERVATO", "Un documento dell'atto non è tra quelli conservati.", "Inviare di nuovo l'atto con azione modifica."),
    (
        "FILE_CAMBIATO_NELL_ARCHIVIO",
        "Un file non è più quello accettato: qualcuno ha scritto nell'archivio. Di quel file non è stato inviato né pubblicato nulla.",
        "Depositare di nuovo l'atto con azione modifica; per gli scarti di un lotto, correggere e depositare il file originale.",
    ),
    ("ARCHIVIO_MANCANTE", "L'archivio che contiene i documenti dell'atto non c'è.", "Inviare di nuovo l'atto con azione modifica."),
    ("PROTOCOLLO_MANCANTE", "L'atto non ha un protocollo.", "Inviare di nuovo l'atto con azione modifica e il protocollo."),
    (
        "PROTOCOLLO_GIA_IN_CORSO",
        "Il protocollo dato all'atto prima dell'invio è già di un altro atto in corso dello stesso ente: non è stato inviato nulla.",
        "Inviare di nuovo l'atto con azione modifica e il suo protocollo; o, concluso l'altro atto, messo act retry.",
    ),
    (
        "RICHIESTA_INCOMPLETA",
        "All'atto manca un dato obbligatorio della richiesta a SEND.",
        "Annullarlo con messo act cancel e depositarlo di nuovo, completo.",
    ),
    (
        "TROPPI_RIFIUTI",
        "SEND ha rifiutato troppi dei primi atti del lotto: gli altri non sono stati inviati, perché ogni rifiuto si paga.",
        "Leggere i rifiuti; poi messo batch release LOTTO, o messo act cancel.",
    ),
    // alerts
    (
        "LOTTO_SCARTATO",
        "Un lotto è stato scartato per intero: nessun suo atto è stato preso in carico.",
        "Leggere la ricevuta, correggere e depositare di nuovo il lotto.",
    ),
    (
        "LOTTO_PARZIALE",
        "Di un lotto sono stati presi in carico soltanto alcuni atti: gli altri sono scartati.",
        "Correggere il file nella cartella scarti e depositarlo di nuovo.",
    ),
    ("ENTE_RIPRESO", "L'ente che era fermo riprende: nessuna sua chiave è più ferma.", "Nessuna azione."),
    (
        "CHIAMATE_DEL_GIORNO_FINITE",
        "Le chiamate a SEND concesse all'ente per oggi sono finite (per_day nella configurazione): i nuovi invii riprendono domani.",
        "Nessuna azione; se accade spesso, alzare per_day.",
    ),
    (
        "TETTO_DI_SPESA_RAGGIUNTO",
        "Il tetto di spesa di oggi dell'ente è raggiunto (spend_cents_per_day nella configurazione): i nuovi invii riprendono domani.",
        "Nessuna azione; se accade spesso, alzare il tetto.",
    ),
    (
        "QUOTE_DI_NUOVO_LIBERE",
        "L'ente può di nuovo inviare: le chiamate o il tetto di spesa sono quelli di un nuovo giorno.",
        "Nessuna azione.",
    ),
    (
        "DISCO_QUASI_PIENO",
        "Su un disco resta poco spazio: quello dei dati di messo («dati») o quello della cartella di un gestionale.",
        "Liberare spazio o ampliare il disco: sotto la riserva messo non prende più in carico i lotti.",
    ),
    ("DISCO_DI_NUOVO_LIBERO", "Sul disco c'è di nuovo spazio.", "Nessuna azione."),
    (
        "DEPOSITO_MAI_COMPLETATO",
        "Un file depositato è rimasto a metà: nessuno lo completa più, e non è stato letto.",
        "Chiedere al gestionale di depositarlo di nuovo, intero.",
    ),
    (
        "GESTIONALE_SILENZIOSO",
        "Un gestionale che deposita sempre entro una certa ora non ha depositato.",
        "Verificare l'esportazione del gestionale e il suo collegamento.",
    ),
    ("GESTIONALE_DI_NUOVO_ATTIVO", "Il gestionale che taceva ha depositato.", "Nessuna azione."),
    ("RAPPORTO_DEL_GIORNO", "Il rapporto di un giorno dell'ente è pronto.", "Si rilegge con messo report."),
    ("FATTO_INATTESO", "SEND ha comunicato un fatto che non era atteso in quello stato.", "Leggere messo act show."),
    ("EVENTO_SCONOSCIUTO", "SEND ha comunicato un evento di un tipo nuovo.", "Nessuna azione: è conservato e riportato nell'esito."),
    (
        "TIMELINE_RETTIFICATA",
        "SEND ha rettificato la cronologia di una notifica: possono cambiare perfezionamento e costi.",
        "Leggere le righe di rettifica dell'esito.",
    ),
    (
        "TERMINE_VICINO",
        "Il termine di notifica di un atto non ancora accettato da SEND è vicino.",
        "Leggere messo act show e sbloccare l'atto.",
    ),
    (
        "FLUSSO_EVENTI_PERSO",
        "SEND non ha più il flusso degli eventi: è stato rifatto, e gli atti aperti vengono riletti uno per uno.",
        "Nessuna azione.",
    ),
    (
        "SEND_NON_RAGGIUNGIBILE",
        "SEND non risponde all'ente da parecchi minuti (send_down_minutes nella configurazione).",
        "Verificare la rete e lo stato di SEND; messo riprova da solo.",
    ),
    (
        "RENDICONTAZIONE_IN_RITARDO",
        "Una rendicontazione del gestionale non può essere scritta.",
        "Verificare spazio e permessi della sua cartella rendicontazioni/; messo riprova da solo.",
    ),
    (
        "COPIA_IN_RITARDO",
        "L'ultima copia di sicurezza riuscita è più vecchia di backup_hours ore.",
        "Verificare il disco delle copie e journalctl -u messo-backup, poi rifarla: messo backup.",
    ),
    ("COPIA_RIUSCITA", "Una copia di sicurezza è di nuovo riuscita.", "Nessuna azione."),
    ("RENDICONTAZIONE_RIUSCITA", "La rendicontazione che mancava è stata scritta.", "Nessuna azione."),
    (
        "CARTELLA_DI_NUOVO_RAGGIUNGIBILE",
        "La cartella del gestionale risponde di nuovo.",
        "Nessuna azione: ciò che aspettava viene scritto e i depositi sono letti.",
    ),
    ("SEND_DI_NUOVO_RAGGIUNGIBILE", "SEND risponde di nuovo all'ente.", "Nessuna azione."),
    (
        "FLUSSO_EVENTI_RIFIUTATO",
        "SEND rifiuta di creare o di far leggere il flusso degli eventi di una chiave (troppi flussi, o una richiesta che non capisce): \
         con quella chiave non si invia e non si sa che cosa accade.",
        "Leggere il registro (traceId); se i flussi dell'ente su SEND sono troppi, toglierne uno. messo riprova da solo.",
    ),
    ("FLUSSO_EVENTI_RIPRESO", "Il flusso degli eventi di quella chiave si legge di nuovo.", "Nessuna azione."),
    (
        "NOME_GIA_PRESENTE",
        "Nella cartella del gestionale c'è già un altro file con il nome di uno da pubblicare: non è stato sovrascritto.",
        "Spostare il file, poi messo publish --rebuild.",
    ),
    (
        "ATTESTAZIONE_NON_LEGGIBILE",
        "Un'attestazione conservata non si legge (disco o permessi): non è ancora nella cartella del gestionale.",
        "Verificare disco e permessi della cartella attestazioni/ dei dati di messo; messo riprova da solo.",
    ),
    (
        "ATTESTAZIONE_PERDUTA",
        "Un'attestazione conservata non c'è più, o non è più quella ricevuta: non può essere copiata nella cartella del gestionale.",
        "Rimetterla da una copia di sicurezza e poi messo publish --rebuild, o scaricarla dal portale di SEND con lo IUN dell'atto.",
    ),
    ("RIFIUTO_SENZA_MOTIVO", "SEND ha rifiutato senza dire il motivo.", "Aprire una segnalazione a SEND."),
    (
        "DEPOSITO_INTERROTTO",
        "Un file depositato non può essere letto né conservato.",
        "Verificare disco e permessi; il file resta nella cartella di lavoro e viene riletto.",
    ),
    (
        "DEPOSITO_ACCANTONATO",
        "Un file depositato non si apre o non si legge: gli altri del gestionale vanno avanti, e viene ritentato a intervalli crescenti.",
        "Verificare permessi e disco della cartella di lavoro; dopo circa un'ora il file è scartato con una ricevuta.",
    ),
    (
        "DEPOSITO_ABBANDONATO",
        "Un file depositato non si è mai potuto leggere: è scartato con una ricevuta e resta nella cartella di lavoro.",
        "Recuperare il file da .messo/lavoro e depositarlo di nuovo.",
    ),
    (
        "TETTO_INFERIORE_ALL_ATTO",
        "L'atto da solo costa più del tetto di spesa giornaliero dell'ente: non partirebbe mai.",
        "Alzare il tetto nella configurazione dell'ente e farla rileggere (systemctl reload messo), poi messo act retry; oppure messo act cancel.",
    ),
    (
        "DATI_ILLEGGIBILI",
        "I dati conservati dell'atto non si leggono più: non è stato inviato nulla.",
        "Depositare di nuovo l'atto con azione modifica; se si ripete, verificare il disco della cartella dei dati.",
    ),
    // payments
    (
        "ID_POSIZIONE_MANCANTE",
        "Il partner tecnologico conosce le posizioni solo dal loro identificativo, e l'atto non lo indica, oppure ne indica uno solo per più avvisi: \
         l'importo dell'avviso resta com'è.",
        "Depositare di nuovo l'atto con posizione_id (con più avvisi avviso_posizione_id_n, uno per avviso), poi messo posizione retry.",
    ),
    (
        "VERIFICA_RESPINTA_DAL_PT",
        "Il partner tecnologico respinge la domanda su un avviso con un motivo che messo non conosce.",
        "Leggere il registro, chiedere al partner tecnologico, poi messo posizione retry.",
    ),
    (
        "PT_NON_CONFIGURATO",
        "Il partner tecnologico di una posizione, o la sua rotta in [[ente.pagamenti]], non è più nella configurazione.",
        "Rimetterlo nella configurazione e farla rileggere, poi messo posizione retry.",
    ),
    (
        "IN_VERIFICA_AL_PT",
        "L'avviso è in verifica presso il partner tecnologico: prima di allora l'atto non va a SEND.",
        "Nessuna azione: riprende appena il partner tecnologico ha risposto.",
    ),
    (
        "PT_NON_RISPONDE",
        "Il partner tecnologico non ha risposto per tutte le ore concesse (wait_hours): l'avviso dell'atto non è verificato e nulla è andato a SEND.",
        "Verificare il collegamento con messo pt try, poi messo act retry.",
    ),
    (
        "IUV_SCONOSCIUTO",
        "Il partner tecnologico non conosce l'avviso: nulla è stato inviato a SEND.",
        "Caricare la posizione presso il partner tecnologico, o correggere il numero avviso, e depositare di nuovo l'atto.",
    ),
    (
        "IUV_NON_PAGABILE",
        "Il partner tecnologico dice che l'avviso non si può pagare (non attivo, annullato o scaduto): nulla è stato inviato a SEND.",
        "Attivare la posizione presso il partner tecnologico, o indicare l'avviso giusto, e depositare di nuovo l'atto.",
    ),
    (
        "IMPORTO_DIVERSO_DAL_PT",
        "L'importo dell'atto e quello dell'avviso presso il partner tecnologico sono diversi.",
        "Correggere quello sbagliato e depositare di nuovo l'atto; una differenza ammessa si scrive in [pagamenti] tolerance_cents del flusso.",
    ),
    (
        "POSIZIONE_GIA_PAGATA",
        "L'avviso risulta già pagato prima della notifica.",
        "Verificare il pagamento; se l'atto va notificato comunque, mettere verify = \"warn\" nel flusso.",
    ),
    (
        "AVVISO_DI_ALTRO_ENTE",
        "Il partner tecnologico risponde per un altro ente, o per un altro avviso: nulla è stato inviato a SEND.",
        "Correggere il numero avviso o il codice fiscale del creditore e depositare di nuovo l'atto.",
    ),
    (
        "POSIZIONE_NON_DESCRITTA",
        "Quando il cittadino paga, il partner tecnologico chiede a messo la posizione intera: non la conosce, e l'atto non ne dice il tipo o il pagatore.",
        "Caricare la posizione presso il partner tecnologico, o indicare tipo_dovuto (al più 35 lettere, cifre, punti e trattini), e depositare di nuovo l'atto.",
    ),
    (
        "IMPORTO_NON_RIPARTIBILE",
        "La posizione ha più voci presso il partner tecnologico, e nessuno dice come dividere un nuovo importo: il cittadino non potrebbe pagarla.",
        "Indicare cost_place in [pagamenti] del flusso, o far cambiare la posizione a chi la gestisce, e depositare di nuovo l'atto.",
    ),
    (
        "AVVISO_PDF_DI_ALTRO_AVVISO",
        "Il QR dell'avviso allegato è di un altro numero avviso: il cittadino pagherebbe il debito di qualcun altro.",
        "Allegare l'avviso giusto e depositare di nuovo l'atto.",
    ),
    (
        "AVVISO_PDF_DI_ALTRO_ENTE",
        "Il QR dell'avviso allegato indica un altro ente creditore.",
        "Allegare l'avviso giusto, o correggere il codice fiscale del creditore, e depositare di nuovo l'atto.",
    ),
    (
        "AVVISO_PDF_ALTRO_IMPORTO",
        "Il QR dell'avviso allegato ha un importo che non è né quello dell'atto né quello della sua regola.",
        "Stampare di nuovo l'avviso con l'importo dell'atto e depositare di nuovo l'atto; se è voluto, mettere qr = \"ignore\" nel flusso.",
    ),
    (
        "AVVISO_PDF_SENZA_QR",
        "Nell'avviso allegato non si legge nessun codice QR di pagoPA.",
        "Verificare che il PDF sia l'avviso di pagamento, con il QR intero, e depositare di nuovo l'atto.",
    ),
    (
        "LETTORE_AVVISI",
        "Il lettore degli avvisi in PDF non parte o non finisce.",
        "Nessuna azione se passa da solo; altrimenti verificare memoria e permessi del servizio.",
    ),
    (
        "POSIZIONE_IN_PAGAMENTO",
        "Il cittadino sta pagando: finché il pagamento non finisce l'importo non si tocca.",
        "Nessuna azione: messo guarda di nuovo ogni ora.",
    ),
    (
        "POSIZIONE_ANNULLATA_DAL_PT",
        "La posizione è annullata presso il partner tecnologico: l'importo non si aggiorna più.",
        "Chiarire con chi l'ha annullata; se è stata rimessa, messo posizione retry.",
    ),
    (
        "POSIZIONE_SCADUTA",
        "Il partner tecnologico non accetta più pagamenti su questa posizione: è scaduta.",
        "Prorogarla presso il partner tecnologico, poi messo posizione retry.",
    ),
    (
        "SCADENZA_NON_SPOSTATA",
        "La posizione è scaduta presso il partner tecnologico, che non accetta o non tiene la nuova data: il cittadino non può pagare.",
        "Prorogarla presso il partner tecnologico, poi messo posizione retry.",
    ),
    (
        "POSIZIONE_NON_ANNULLATA",
        "L'atto è annullato e il flusso vuole annullata anche la posizione, ma il partner tecnologico non sa o non vuole farlo.",
        "Annullarla presso il partner tecnologico: fino ad allora si può ancora pagare.",
    ),
    (
        "IMPORTO_NON_CAMBIATO",
        "Il partner tecnologico dice di aver preso il nuovo importo, ma riletto è ancora quello di prima.",
        "Chiedere al partner tecnologico, poi messo posizione retry.",
    ),
    (
        "IMPORTO_RESPINTO_DAL_PT",
        "Il partner tecnologico rifiuta il nuovo importo.",
        "Leggere messo posizione show e il registro, chiedere al partner tecnologico, poi messo posizione retry.",
    ),
    (
        "POSIZIONE_NON_TROVATA",
        "Il partner tecnologico non conosce l'avviso.",
        "Caricare la posizione presso il partner tecnologico, poi messo posizione retry.",
    ),
    (
        "POSIZIONE_DI_ALTRI",
        "Il partner tecnologico ha risposto con i dati di un altro avviso o di un altro ente: la risposta non è stata usata.",
        "Verificare il numero avviso e la configurazione di [[ente.pagamenti]], segnalarlo al partner tecnologico, poi messo posizione retry.",
    ),
    (
        "IMPORTO_NON_CALCOLABILE",
        "La regola e i dati dell'atto non danno un importo che si possa chiedere: nessun importo è stato cambiato.",
        "Correggere la regola o i dati dell'atto (docs/importi.md) e depositarlo di nuovo, poi messo posizione retry.",
    ),
    (
        "PAGATO_IMPORTO_DIVERSO",
        "Un avviso è stato pagato per un importo diverso da quello dovuto in quel momento: il pagamento vale.",
        "Verificare l'esito: di solito il cittadino aveva l'importo precedente. Se manca qualcosa, decide l'ufficio.",
    ),
    (
        "PAGATO_IMPORTO_NON_COMUNICATO",
        "Il partner tecnologico dice che l'avviso è pagato e non dice quanto: si intende l'importo chiesto, al momento della lettura.",
        "Nessuna azione; se serve l'importo esatto, chiederlo al partner tecnologico.",
    ),
    ("PAGATO_IN_PARTE", "Di un avviso è stata pagata solo una parte.", "Nessuna azione: si attende il resto."),
    (
        "PAGATO_DUE_VOLTE",
        "Di un avviso, o di due avvisi dello stesso debito, sono arrivate due ricevute di pagamento diverse.",
        "Verificare i due pagamenti; se sono davvero due, uno va restituito.",
    ),
    (
        "PAGATO_CON_ALTRO_AVVISO",
        "Il debito è stato pagato con un altro dei suoi avvisi: su questo non è arrivato nulla, e messo non lo aumenta più.",
        "Annullarlo presso il partner tecnologico, dove si può ancora pagare; se invece è dovuto a parte, messo posizione retry.",
    ),
    (
        "PAGAMENTO_SCONOSCIUTO",
        "Un partner tecnologico comunica il pagamento di un avviso che nessun atto nomina, o che la configurazione non affida a lui: nessun importo \
         cambia. Non è di nessun gestionale: è avvisato l'ente. Il primo è conservato: quando arriva un atto che nomina l'avviso lo dice il suo esito.",
        "Verificare se l'atto deve ancora arrivare, se l'avviso è di un altro programma, o se manca il suo percorso in [[ente.pagamenti]].",
    ),
    (
        "POSIZIONE_NON_PIU_SEGUITA",
        "I dati personali dell'atto sono stati cancellati prima del pagamento: l'importo dell'avviso resta quello che è.",
        "Se l'importo deve ancora cambiare, o un ricorso finire, gestire la posizione presso il partner tecnologico.",
    ),
    (
        "COSTO_NON_RICHIESTO",
        "Nessuno aggiunge il costo di notifica a questo avviso: il partner tecnologico non ne dice l'importo, oppure il percorso ha costs = \"async\" e \
         l'atto non è ASYNC. L'avviso resta com'è, e il costo all'ente.",
        "Con più avvisi per destinatario, chiedere il costo a parte; altrimenti mettere costs = \"push\" nel percorso, o ASYNC nel flusso.",
    ),
    (
        "AVVISO_ASYNC_FUORI_DA_GPD",
        "L'atto è ASYNC, per cui SEND cerca l'avviso su GPD, ma la configurazione lo affida a un altro partner tecnologico.",
        "Se il partner non carica le posizioni anche su GPD, mettere SYNC nel flusso: altrimenti SEND rifiuta l'atto e lo addebita.",
    ),
    (
        "PT_CERTIFICATO_NON_VALIDO",
        "Il certificato del server di un partner tecnologico non è valido (scaduto, di un'autorità sconosciuta o di un altro nome): messo non gli \
         parla più, e le verifiche e gli importi aspettano.",
        "Far rinnovare il certificato al partner tecnologico, o indicare la sua autorità con ca nel blocco [[pt]] (il registro dice che cosa non va), \
         poi messo act retry --channel pt/NOME.",
    ),
    ("PT_CERTIFICATO_DA_RIPROVARE", "messo prova di nuovo a parlare con il partner tecnologico.", "Nessuna azione."),
    (
        "REVOCA_DI_PAGAMENTO",
        "Un partner tecnologico trasmette la richiesta di revocare un pagamento: chi l'ha incassato chiede che sia restituito. La posizione resta pagata.",
        "Decidere con l'ufficio e con la tesoreria se accoglierla, e rispondere al partner tecnologico.",
    ),
    (
        "PT_NON_RAGGIUNGIBILE",
        "Un partner tecnologico non risponde da parecchi minuti: le verifiche e gli importi aspettano.",
        "Verificare la rete e il servizio del partner tecnologico; messo riprova da solo.",
    ),
    ("PT_DI_NUOVO_RAGGIUNGIBILE", "Il partner tecnologico risponde di nuovo.", "Nessuna azione."),
    (
        "PT_RIFIUTA_LE_CREDENZIALI",
        "Un partner tecnologico rifiuta le credenziali di messo: le verifiche e gli importi aspettano.",
        "Correggere utente, password, chiave o certificato nel blocco [[pt]], poi messo act retry --channel pt/NOME.",
    ),
    ("PT_ACCETTA_LE_CREDENZIALI", "Il partner tecnologico accetta di nuovo le credenziali di messo.", "Nessuna azione."),
    (
        "NESSUNA_POSIZIONE_GESTITA",
        "L'ordine sui termini di pagamento non ha effetto: nessun avviso dell'atto è presso un partner tecnologico gestito.",
        "Nessuna azione; per gestire gli importi, configurare [[ente.pagamenti]].",
    ),
    ("TERMINI_NON_SOSPESI", "I termini di pagamento dell'atto non sono sospesi: non c'è nulla da riprendere.", "Nessuna azione."),
    (
        "DATE_DELLA_SOSPENSIONE",
        "L'ultimo giorno della sospensione viene prima del primo.",
        "Correggere le date e depositare di nuovo l'ordine.",
    ),
];

/// The sentence of a code of messo.
pub fn sentence(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, ..)| *known == code).map(|(_, sentence, _)| *sentence)
}

/// What to do about it.
pub fn remedy(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, ..)| *known == code).map(|(.., remedy)| *remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_document_for_the_offices_and_none_is_told_twice() {
        let page = include_str!("../../../docs/codici.md");
        for (index, (code, sentence, remedy)) in CODES.iter().enumerate() {
            assert!(page.contains(&format!("`{code}`")), "docs/codici.md does not list {code}");
            assert!(sentence.ends_with('.') && !remedy.is_empty(), "{code}");
            assert!(CODES.iter().skip(index + 1).all(|(other, ..)| other != code), "{code} twice");
        }
    }
}
