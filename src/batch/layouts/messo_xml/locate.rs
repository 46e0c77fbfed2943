//! XPath of a field, as the office finds it in its own file.

use crate::batch::fields::{self as f, Field};

/// The XPath of `field` in the act number `act` (from 1).
pub fn locate(field: Field, act: u64) -> String {
    let mut path = format!("/lotto/atto[{act}]");
    if let Some(relative) = relative(field) {
        path.push('/');
        path.push_str(&relative);
    }
    path
}

fn relative(field: Field) -> Option<String> {
    let recipient = field.recipient.map_or(1, |index| index + 1);
    let item = field.item.map_or(1, |index| index + 1);
    let of_recipient = |rest: &str| format!("destinatari/destinatario[{recipient}]{rest}");
    let notice = |rest: &str| of_recipient(&format!("/pagamenti/avviso[{item}]{rest}"));
    let f24 = |rest: &str| of_recipient(&format!("/pagamenti/f24[{item}]{rest}"));
    Some(match field.name {
        f::REFERENCE => "riferimento".into(),
        f::ACTION => "azione".into(),
        f::SENDER => "ente".into(),
        f::PROTOCOL => "protocollo".into(),
        f::SUBJECT => "oggetto".into(),
        f::ABSTRACT => "descrizione".into(),
        f::TAXONOMY => "tassonomia".into(),
        f::COMMUNICATION => "tipoComunicazione".into(),
        f::FEE_POLICY => "politicaCosti".into(),
        f::PA_FEE => "costoEnte".into(),
        f::VAT => "iva".into(),
        f::INT_MODE => "modalitaPagopa".into(),
        f::AMOUNT => "importo".into(),
        f::EXPIRATION => "scadenzaPagamento".into(),
        f::GROUP => "gruppo".into(),
        f::LANGUAGE => "lingua".into(),
        f::SENDER_NAME => "denominazioneEnte".into(),
        f::CANCELLED_IUN => "iunAnnullato".into(),
        f::NOTIFY_BY => "termineNotifica".into(),
        f::FORCE => "forza".into(),
        f::STOPPED_FROM => "sospensioneDal".into(),
        f::STOPPED_UNTIL => "sospensioneAl".into(),
        f::RECIPIENT_TYPE => of_recipient("/tipo"),
        f::TAX_ID => of_recipient("/codiceFiscale"),
        f::DENOMINATION => of_recipient("/denominazione"),
        f::PEC => of_recipient("/pec"),
        f::AT => of_recipient("/indirizzo/presso"),
        f::ADDRESS => of_recipient("/indirizzo/via"),
        f::ADDRESS_DETAILS => of_recipient("/indirizzo/dettagli"),
        f::ZIP => of_recipient("/indirizzo/cap"),
        f::MUNICIPALITY => of_recipient("/indirizzo/comune"),
        f::MUNICIPALITY_DETAILS => of_recipient("/indirizzo/frazione"),
        f::PROVINCE => of_recipient("/indirizzo/provincia"),
        f::FOREIGN_STATE => of_recipient("/indirizzo/statoEstero"),
        f::NOTICE => notice("/numero"),
        f::NOTICE_CREDITOR => notice("/creditore"),
        f::NOTICE_COST => notice("/applicaCosti"),
        f::F24_COST => f24("/applicaCosti"),
        f::NOTICE_FILE => notice("/allegato/file"),
        f::NOTICE_SHA => notice("/allegato/sha256"),
        f::NOTICE_POSITION => notice("/posizioneId"),
        f::F24_TITLE => f24("/titolo"),
        f::F24_FILE => f24("/metadati/file"),
        f::F24_SHA => f24("/metadati/sha256"),
        f::DOCUMENT => format!("documenti/documento[{item}]/file"),
        f::DOCUMENT_TITLE => format!("documenti/documento[{item}]/titolo"),
        f::DOCUMENT_SHA => format!("documenti/documento[{item}]/sha256"),
        f::DOCUMENT_SHARED => format!("documenti/documento[{item}]/condiviso"),
        f::ECHO_NAME => format!("eco/campo[{item}]/nome"),
        f::ECHO => format!("eco/campo[{item}]/valore"),
        f::RULE_BASE => "regolaImporto/base".into(),
        f::RULE_COSTS => "regolaImporto/costi".into(),
        f::STEP_FROM => format!("regolaImporto/passo[{item}]/da"),
        f::STEP_DAYS => format!("regolaImporto/passo[{item}]/giorni"),
        f::STEP_PERCENT => format!("regolaImporto/passo[{item}]/percento"),
        f::STEP_AMOUNT => format!("regolaImporto/passo[{item}]/importo"),
        f::STEP_OF => format!("regolaImporto/passo[{item}]/di"),
        f::STEP_CHARGE => format!("regolaImporto/passo[{item}]/onere"),
        f::STEP_CAP => format!("regolaImporto/passo[{item}]/onereMassimo"),
        f::STEP_SUMMER => format!("regolaImporto/passo[{item}]/feriale"),
        f::RULE_PRESET => "regolaImporto/preset".into(),
        f::RULE_COMPLETION => "regolaImporto/perfezionamento".into(),
        f::RULE_BEARERS => "regolaImporto/costiDi".into(),
        f::RULE_HOLIDAYS => "regolaImporto/festivi".into(),
        f::RULE_ROUNDING => "regolaImporto/arrotondamento".into(),
        f::RULE_EXTRA => "regolaImporto/spese".into(),
        f::RULE_SANCTION => "regolaImporto/sanzione".into(),
        f::RULE_SEMESTER => "regolaImporto/semestre".into(),
        f::RULE_FLOOR => "regolaImporto/nonMenoDi".into(),
        f::RULE_CEILING => "regolaImporto/nonPiuDi".into(),
        f::RULE_VALID_FROM => "regolaImporto/validaDal".into(),
        f::RULE_VALID_UNTIL => "regolaImporto/validaAl".into(),
        f::POSITION_ID => "posizione/id".into(),
        f::DUE_TYPE => "posizione/tipoDovuto".into(),
        f::REMITTANCE => "posizione/causale".into(),
        f::BALANCE => "posizione/bilancio".into(),
        f::MINIMUM => "posizione/importoMinimo".into(),
        f::MAXIMUM => "posizione/importoMassimo".into(),
        f::VIOLATION_DATE => "posizione/dataViolazione".into(),
        f::ASSESSMENT_DATE => "posizione/dataAccertamento".into(),
        f::CONTESTATION_DATE => "posizione/dataContestazione".into(),
        f::NOTICE_GROUP => "posizione/gruppoAvvisi".into(),
        // The elements themselves, for findings about structure.
        "/destinatari" => "destinatari".into(),
        "/destinatario" => of_recipient(""),
        "/indirizzo" => of_recipient("/indirizzo"),
        "/pagamenti" => of_recipient("/pagamenti"),
        "/avviso" => notice(""),
        "/f24" => f24(""),
        "/allegato" => notice("/allegato"),
        "/metadati" => f24("/metadati"),
        "/documenti" => "documenti".into(),
        "/documento" => format!("documenti/documento[{item}]"),
        "/regolaImporto" => "regolaImporto".into(),
        "/passo" => format!("regolaImporto/passo[{item}]"),
        "/posizione" => "posizione".into(),
        "/eco" => "eco".into(),
        "/campo" => format!("eco/campo[{item}]"),
        "/scarto" => "scarto".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_an_act_has_its_xpath() {
        for name in f::ALL {
            assert!(relative(Field { name, recipient: Some(1), item: Some(2) }).is_some(), "{name}");
        }
        assert_eq!(locate(Field::of(f::ZIP, 1), 3), "/lotto/atto[3]/destinatari/destinatario[2]/indirizzo/cap");
        assert_eq!(locate(Field::of_nth(f::NOTICE, 0, 1), 1), "/lotto/atto[1]/destinatari/destinatario[1]/pagamenti/avviso[2]/numero");
        assert_eq!(locate(Field::act("/atto"), 7), "/lotto/atto[7]");
    }
}
