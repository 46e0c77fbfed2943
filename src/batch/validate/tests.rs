//! Tests of `validate`.

use super::samples::{act, flow, notice, recipient};
use super::*;
use crate::batch::fields as f;
use crate::batch::problem::{Code, Severity};
use crate::domain::act::*;
use crate::domain::amount_rule::{AmountPreset, AmountRule, AmountStep, CostBearers, CostPolicy, FromEvent, SanctionTable};
use crate::domain::money::Cents;
use crate::flow::definition::PaymentPolicy;

/// (what is tried, how the good act is changed, what must be told)
type Case = (&'static str, fn(&mut Act), &'static [(&'static str, Code, Severity)]);

fn sender() -> SenderFacts<'static> {
    SenderFacts {
        tax_id: "15376371009",
        denomination: "Comune di Prova",
        groups: &[],
        group_required: false,
        heavy_mail: false,
        address_lookup: false,
    }
}

fn checked(act: &mut Act, rules: &Rules<'_>) -> Vec<(&'static str, Code, Severity)> {
    let mut out = Vec::new();
    check_act(act, rules, &mut out);
    out.into_iter().map(|finding| (finding.field.name, finding.code, finding.severity)).collect()
}

fn address(act: &mut Act) -> &mut PhysicalAddress {
    act.recipients[0].address.as_mut().unwrap()
}

fn set_notice(act: &mut Act, code: &str) {
    let Payment::PagoPa { notice_code, .. } = &mut act.recipients[0].payments[0] else { panic!("no notice") };
    *notice_code = code.to_owned();
}

fn set_creditor(act: &mut Act, code: &str) {
    let Payment::PagoPa { creditor_tax_id, .. } = &mut act.recipients[0].payments[0] else { panic!("no notice") };
    *creditor_tax_id = code.to_owned();
}

fn f24(apply_cost: bool) -> Payment {
    Payment::F24 { title: "IMU".to_owned(), apply_cost, metadata: FileRef::named("f24.json") }
}

#[test]
fn a_good_act_passes_and_is_filled_in() {
    let (flow, sender) = (flow(), sender());
    let rules = Rules { flow: Some(&flow), sender: Some(&sender), today: None, ..Rules::default() };
    let mut good = act();
    good.recipients[0].tax_id = "rss mra 80a01 h501u".to_owned();
    address(&mut good).address = "Via dell’Università, 1".to_owned();
    assert_eq!(checked(&mut good, &rules), []);
    assert_eq!(good.recipients[0].tax_id, "RSSMRA80A01H501U");
    assert_eq!(address(&mut good).address, "Via dell'Universita 1");
    assert_eq!(good.taxonomy_code.as_deref(), Some("010101P"));
    assert_eq!(good.communication_type, Some(CommunicationType::Act890));
    assert_eq!(good.fee_policy, Some(FeePolicy::DeliveryMode));
    assert_eq!((good.pa_fee, good.vat, good.pago_pa_int_mode), (Some(100), Some(22), Some(PagoPaIntMode::Sync)));
    // Without flow and configuration nothing that they would bring is missed.
    let mut bare = act();
    bare.subject = None;
    bare.sender_tax_id.clear();
    assert_eq!(checked(&mut bare, &Rules::default()), []);
    assert_eq!(bare.taxonomy_code, None);
}

#[test]
fn each_rule_of_the_act() {
    use Severity::{Error as E, Warning as W};
    let table: &[Case] = &[
        ("no reference", |a| a.reference.clear(), &[(f::REFERENCE, Code::ReferenceInvalid, E)]),
        ("long reference", |a| a.reference = "x".repeat(129), &[(f::REFERENCE, Code::ReferenceInvalid, E)]),
        ("reference of two lines", |a| a.reference = "a\nb".to_owned(), &[(f::REFERENCE, Code::ReferenceInvalid, E)]),
        ("other ente", |a| a.sender_tax_id = "00907501001".to_owned(), &[(f::SENDER, Code::SenderTaxIdInvalid, E)]),
        ("protocol", |a| a.protocol = Some("x".repeat(257)), &[(f::PROTOCOL, Code::FieldTooLong, E)]),
        ("protocol of 256", |a| a.protocol = Some("à".repeat(256)), &[]),
        ("protocol of two lines", |a| a.protocol = Some("1\n2".to_owned()), &[(f::PROTOCOL, Code::CharsetInvalid, E)]),
        ("no protocol yet", |a| a.protocol = None, &[]),
        ("no subject", |a| a.subject = None, &[(f::SUBJECT, Code::FieldMissing, E)]),
        ("long subject", |a| a.subject = Some("x".repeat(135)), &[(f::SUBJECT, Code::FieldTooLong, E)]),
        ("long abstract", |a| a.abstract_text = Some("x".repeat(1025)), &[(f::ABSTRACT, Code::FieldTooLong, E)]),
        ("AR for 890", |a| a.communication_type = Some(CommunicationType::Ar), &[(f::COMMUNICATION, Code::ConflictsWithFlow, E)]),
        ("890 repeated", |a| a.communication_type = Some(CommunicationType::Act890), &[]),
        (
            "other taxonomy",
            |a| a.taxonomy_code = Some("010202N".to_owned()),
            &[(f::TAXONOMY, Code::ConflictsWithFlow, E), (f::TAXONOMY, Code::TaxonomyPayment, W)],
        ),
        (
            "unknown taxonomy",
            |a| a.taxonomy_code = Some("999999P".to_owned()),
            &[(f::TAXONOMY, Code::ConflictsWithFlow, E), (f::TAXONOMY, Code::TaxonomyUnknown, E)],
        ),
        (
            "other policy",
            |a| a.fee_policy = Some(FeePolicy::FlatRate),
            &[(f::FEE_POLICY, Code::ConflictsWithFlow, E), (f::NOTICE_COST, Code::ApplyCostForbidden, E)],
        ),
        ("fee", |a| a.pa_fee = Some(101), &[(f::PA_FEE, Code::OutOfRange, E)]),
        ("vat", |a| a.vat = Some(101), &[(f::VAT, Code::OutOfRange, E)]),
        ("amount", |a| a.amount = Some(Cents(i64::from(i32::MAX) + 1)), &[(f::AMOUNT, Code::OutOfRange, E)]),
        ("group", |a| a.group = Some("g1".to_owned()), &[(f::GROUP, Code::GroupUnknown, E)]),
        ("iun", |a| a.cancelled_iun = Some("ABC".to_owned()), &[(f::CANCELLED_IUN, Code::IunInvalid, E)]),
        ("iun letter", |a| a.cancelled_iun = Some("ADEG-HJKL-MNPQ-202601-A-1".to_owned()), &[(f::CANCELLED_IUN, Code::IunInvalid, W)]),
        ("sender's name", |a| a.sender_denomination = Some("A|B".to_owned()), &[(f::SENDER_NAME, Code::CharsetInvalid, E)]),
        (
            "rule",
            |a| a.amount_rule = Some(AmountRule { base: Some(Cents(1)), steps: vec![], ..AmountRule::flat(CostPolicy::Added) }),
            &[(f::RULE_BASE, Code::AmountRuleInvalid, E)],
        ),
        (
            "a ready-made rule without what it needs",
            |a| (a.amount, a.amount_rule) = (Some(Cents(4_200)), Some(AmountPreset::Cds.rule())),
            &[(f::MINIMUM, Code::AmountRuleIncomplete, E), (f::MAXIMUM, Code::AmountRuleIncomplete, E)],
        ),
        (
            "a ready-made rule with it",
            |a| {
                a.amount = Some(Cents(4_200));
                a.amount_rule = Some(AmountPreset::Cds.rule());
                a.position = Some(PositionData { minimum: Some(Cents(4_200)), maximum: Some(Cents(17_300)), ..PositionData::default() });
            },
            &[],
        ),
        (
            "an amount that the rule never asks for",
            |a| {
                a.amount = Some(Cents(5_400));
                a.amount_rule = Some(AmountPreset::Cds.rule());
                a.position = Some(PositionData { minimum: Some(Cents(4_200)), maximum: Some(Cents(17_300)), ..PositionData::default() });
            },
            &[(f::AMOUNT, Code::AmountRuleMismatch, W)],
        ),
        (
            "a sanction without a violation",
            |a| {
                let sanction = Some(SanctionTable::OmittedPayment);
                a.amount = Some(Cents(5_400));
                a.amount_rule = Some(AmountRule { sanction, ..AmountPreset::ImuAssessment.rule() });
            },
            &[(f::VIOLATION_DATE, Code::AmountRuleIncomplete, E)],
        ),
        (
            "the ready-made rule of contestations",
            |a| {
                a.amount = Some(Cents(4_200));
                a.amount_rule = Some(AmountPreset::CdsContested.rule());
                a.position = Some(PositionData { minimum: Some(Cents(4_200)), maximum: Some(Cents(17_300)), ..PositionData::default() });
            },
            &[(f::CONTESTATION_DATE, Code::AmountRuleIncomplete, E)],
        ),
        (
            // Taken before messo reckoned: still taken.
            "days from a date that the row has not",
            |a| {
                let steps =
                    vec![AmountStep::percent(FromEvent::ActDate, Some(5), 10_000), AmountStep::percent(FromEvent::ActDate, None, 10_000)];
                a.amount = Some(Cents(4_200));
                a.amount_rule = Some(AmountRule { base: Some(Cents(4_200)), steps, ..AmountRule::flat(CostPolicy::Added) });
            },
            &[(f::ASSESSMENT_DATE, Code::AmountRuleIncomplete, W)],
        ),
        ("echo", |a| a.echo = vec![("n".to_owned(), String::new()); 11], &[(f::ECHO, Code::EchoTooMany, E)]),
        ("echo name of the longest", |a| a.echo = vec![("n".repeat(64), "v".repeat(256))], &[]),
        (
            "echo name",
            |a| a.echo = vec![("n".repeat(65), "v".repeat(257))],
            &[(f::ECHO_NAME, Code::FieldTooLong, E), (f::ECHO, Code::FieldTooLong, E)],
        ),
        ("past terms", |a| a.notify_by = Some(jiff::civil::date(2026, 1, 1)), &[(f::NOTIFY_BY, Code::DatePast, W)]),
        ("no documents", |a| a.documents.clear(), &[(f::DOCUMENT, Code::DocumentMissing, E)]),
        ("16 documents", |a| a.documents = vec![FileRef::named("a.pdf"); 16], &[(f::DOCUMENT, Code::DocumentsTooMany, E)]),
        ("long title", |a| a.documents[0].title = Some("x".repeat(513)), &[(f::DOCUMENT_TITLE, Code::FieldTooLong, E)]),
        ("name in subject", |a| a.subject = Some("Verbale ROSSI, Mario".to_owned()), &[(f::SUBJECT, Code::PersonalDataInSubject, E)]),
        ("half a name", |a| a.subject = Some("Verbale via Rossi 3".to_owned()), &[]),
        (
            "tax id in abstract",
            |a| a.abstract_text = Some("cf: rssmra80a01h501u".to_owned()),
            &[(f::ABSTRACT, Code::PersonalDataInSubject, E)],
        ),
        ("another's tax id", |a| a.subject = Some("Verbale FRMTTR76M06B715E".to_owned()), &[(f::SUBJECT, Code::PersonalDataInSubject, E)]),
        (
            "no recipients",
            |a| a.recipients.clear(),
            &[(f::NOTICE, Code::PaymentMissing, E), (f::TAXONOMY, Code::TaxonomyPayment, W), (f::TAX_ID, Code::RecipientsMissing, E)],
        ),
        (
            "cancel",
            |a| {
                a.action = Action::Cancel;
                a.recipients.clear();
                a.documents.clear();
                a.subject = None
            },
            &[],
        ),
        (
            "nameless cancel",
            |a| {
                a.action = Action::Cancel;
                a.reference.clear()
            },
            &[(f::REFERENCE, Code::ReferenceInvalid, E)],
        ),
        (
            "modify is checked",
            |a| {
                a.action = Action::Modify;
                a.documents.clear()
            },
            &[(f::DOCUMENT, Code::DocumentMissing, E)],
        ),
    ];
    let (flow, sender) = (flow(), sender());
    let rules = Rules { flow: Some(&flow), sender: Some(&sender), today: Some(jiff::civil::date(2026, 11, 22)), ..Rules::default() };
    for (name, edit, want) in table {
        let mut act = act();
        edit(&mut act);
        assert_eq!(&checked(&mut act, &rules), want, "{name}");
    }
}

#[test]
fn each_rule_of_the_recipient() {
    use Severity::{Error as E, Warning as W};
    let table: &[Case] = &[
        ("no tax id", |a| a.recipients[0].tax_id.clear(), &[(f::TAX_ID, Code::FieldMissing, E)]),
        ("wrong tax id", |a| a.recipients[0].tax_id = "RSSMRA80A01H501X".to_owned(), &[(f::TAX_ID, Code::TaxIdInvalid, E)]),
        ("vat number of a PF", |a| a.recipients[0].tax_id = "15376371009".to_owned(), &[(f::TAX_ID, Code::TaxIdKind, E)]),
        ("person as PG", |a| a.recipients[0].recipient_type = RecipientType::Pg, &[(f::TAX_ID, Code::TaxIdKind, E)]),
        (
            "zeros lost",
            |a| {
                a.recipients[0].recipient_type = RecipientType::Pg;
                a.recipients[0].tax_id = "907501001".to_owned()
            },
            &[(f::TAX_ID, Code::LeadingZerosLost, E)],
        ),
        (
            "PG",
            |a| {
                a.recipients[0].recipient_type = RecipientType::Pg;
                a.recipients[0].tax_id = "00907501001".to_owned()
            },
            &[],
        ),
        ("no name", |a| a.recipients[0].denomination.clear(), &[(f::DENOMINATION, Code::FieldMissing, E)]),
        ("name of 88", |a| a.recipients[0].denomination = "è".repeat(88), &[]),
        ("name of 89", |a| a.recipients[0].denomination = "è".repeat(89), &[(f::DENOMINATION, Code::FieldTooLong, E)]),
        ("pec", |a| a.recipients[0].pec = Some("mario@pec.it".to_owned()), &[]),
        ("no pec", |a| a.recipients[0].pec = Some("mario@pec".to_owned()), &[(f::PEC, Code::PecInvalid, E)]),
        ("no address", |a| a.recipients[0].address = None, &[(f::ADDRESS, Code::AddressMissing, E)]),
        ("twice", |a| a.recipients.push(Recipient { payments: vec![], ..recipient() }), &[(f::TAX_ID, Code::RecipientTwice, E)]),
        ("no street", |a| address(a).address.clear(), &[(f::ADDRESS, Code::FieldMissing, E)]),
        ("long street", |a| address(a).address = "A".repeat(45), &[(f::ADDRESS, Code::AddressLineTooLong, E)]),
        (
            "at and hamlet",
            |a| {
                address(a).at = Some("A".repeat(30));
                address(a).municipality_details = Some("B".repeat(20))
            },
            &[(f::AT, Code::AddressLineTooLong, E)],
        ),
        (
            "cut in print",
            |a| {
                a.recipients[0].denomination = "A".repeat(80);
                address(a).at = Some("B".repeat(20))
            },
            &[(f::AT, Code::AddressLineTooLong, W)],
        ),
        ("no zip", |a| address(a).zip = None, &[(f::ZIP, Code::FieldMissing, E)]),
        ("blank zip", |a| address(a).zip = Some(" ".to_owned()), &[(f::ZIP, Code::FieldMissing, E)]),
        ("short zip", |a| address(a).zip = Some("184".to_owned()), &[(f::ZIP, Code::LeadingZerosLost, E)]),
        ("strange zip", |a| address(a).zip = Some("I-10121".to_owned()), &[(f::ZIP, Code::ZipInvalid, E)]),
        ("no province", |a| address(a).province = None, &[(f::PROVINCE, Code::ProvinceMissing, E)]),
        ("unknown province", |a| address(a).province = Some("XX".to_owned()), &[(f::PROVINCE, Code::ProvinceUnknown, W)]),
        ("other province", |a| address(a).province = Some("MI".to_owned()), &[(f::PROVINCE, Code::MunicipalityProvince, W)]),
        ("other zip", |a| address(a).zip = Some("20121".to_owned()), &[(f::ZIP, Code::MunicipalityZip, W)]),
        ("unknown town", |a| address(a).municipality = "ATLANTIDE".to_owned(), &[(f::MUNICIPALITY, Code::MunicipalityUnknown, W)]),
        (
            "abroad",
            |a| {
                *address(a) = PhysicalAddress {
                    address: "RUE 1".into(),
                    municipality: "PARIS".into(),
                    foreign_state: Some("FRANCIA".into()),
                    ..Default::default()
                }
            },
            &[],
        ),
        ("italia", |a| address(a).foreign_state = Some("ITALIA".to_owned()), &[]),
        (
            "san marino",
            |a| {
                let own = address(a);
                own.municipality = "San Marino".into();
                own.zip = Some("47890".into());
                own.province = Some("SM".into())
            },
            &[],
        ),
        ("uat script", |a| address(a).address = "VIA @FAIL-Discovery_AR".to_owned(), &[]),
    ];
    let (flow, sender) = (flow(), sender());
    let rules = Rules { flow: Some(&flow), sender: Some(&sender), today: None, ..Rules::default() };
    for (name, edit, want) in table {
        let mut act = act();
        edit(&mut act);
        assert_eq!(&checked(&mut act, &rules), want, "{name}");
    }
    let mut act = act();
    address(&mut act).address = "VIA @OK_AR".to_owned();
    checked(&mut act, &rules);
    assert_eq!(address(&mut act).address, "VIA @OK_AR");
    let mut strict = flow.clone();
    strict.checks = Checks { transliterate: false, municipality: CheckLevel::Refuse, ..Checks::default() };
    address(&mut act).address = "VIA FORLÌ, 3".to_owned();
    address(&mut act).municipality = "ATLANTIDE".to_owned();
    let want = [(f::ADDRESS, Code::CharsetInvalid, E), (f::MUNICIPALITY, Code::MunicipalityUnknown, E)];
    assert_eq!(checked(&mut act, &Rules { flow: Some(&strict), ..rules }), want);
    let mut sixteen = super::samples::act();
    sixteen.recipients = vec![recipient(); 16];
    assert!(checked(&mut sixteen, &rules).contains(&(f::TAX_ID, Code::RecipientsTooMany, E)));
    let mut looked_up = super::samples::act();
    looked_up.recipients[0].address = None;
    assert_eq!(checked(&mut looked_up, &Rules { sender: Some(&SenderFacts { address_lookup: true, ..sender }), ..rules }), []);
}

#[test]
fn each_rule_of_the_payments() {
    use Severity::{Error as E, Warning as W};
    let table: &[Case] = &[
        ("none", |a| a.recipients[0].payments.clear(), &[(f::NOTICE, Code::PaymentMissing, E), (f::TAXONOMY, Code::TaxonomyPayment, W)]),
        ("short notice", |a| set_notice(a, "123"), &[(f::NOTICE, Code::NoticeInvalid, E)]),
        ("excel's notice", |a| set_notice(a, "3.02E+17"), &[(f::NOTICE, Code::NoticeInvalid, E)]),
        ("zeros lost", |a| set_notice(a, "1000000000000141"), &[(f::NOTICE, Code::LeadingZerosLost, E)]),
        ("check digits", |a| set_notice(a, "302000000000000185"), &[(f::NOTICE, Code::NoticeCheckDigits, W)]),
        ("groups of four", |a| set_notice(a, "3020 0000 0000 0001 84"), &[]),
        ("creditor", |a| set_creditor(a, "123"), &[(f::NOTICE_CREDITOR, Code::CreditorInvalid, E)]),
        ("creditor's zeros", |a| set_creditor(a, "907501001"), &[(f::NOTICE_CREDITOR, Code::LeadingZerosLost, E)]),
        ("creditor's check digit", |a| set_creditor(a, "15376371008"), &[(f::NOTICE_CREDITOR, Code::CreditorInvalid, W)]),
        ("test creditor", |a| set_creditor(a, "77777777777"), &[]),
        (
            "nobody bears the cost",
            |a| {
                let Payment::PagoPa { apply_cost, .. } = &mut a.recipients[0].payments[0] else { return };
                *apply_cost = false
            },
            &[(f::NOTICE_COST, Code::ApplyCostMissing, E)],
        ),
        ("no f24 bears it", |a| a.recipients[0].payments.push(f24(false)), &[(f::F24_COST, Code::ApplyCostMissing, E)]),
        ("an f24 bears it", |a| a.recipients[0].payments.push(f24(true)), &[]),
        (
            "notice twice",
            |a| a.recipients[0].payments.push(notice()),
            &[(f::NOTICE_COST, Code::ApplyCostRepeated, E), (f::NOTICE, Code::NoticeTwice, E)],
        ),
        (
            "two instalments bear it",
            |a| a.recipients[0].payments.push(second_notice(true)),
            &[(f::NOTICE_COST, Code::ApplyCostRepeated, E)],
        ),
        ("one instalment bears it", |a| a.recipients[0].payments.push(second_notice(false)), &[]),
        (
            "alternatives bear it",
            |a| {
                a.recipients[0].payments.push(second_notice(true));
                a.position = Some(PositionData { notice_group: Some("G-1".to_owned()), ..PositionData::default() })
            },
            &[],
        ),
        (
            "steps, and a notice for each recipient",
            |a| {
                a.amount = Some(Cents(4_200));
                a.position = Some(PositionData { minimum: a.amount, maximum: Some(Cents(17_300)), ..PositionData::default() });
                a.amount_rule = Some(AmountPreset::Cds.rule());
                a.recipients.push(Recipient { tax_id: "FRMTTR76M06B715E".to_owned(), payments: vec![second_notice(true)], ..recipient() })
            },
            &[(f::NOTICE, Code::AmountRuleUnfollowed, W)],
        ),
        (
            "a rule that asks for the whole amount for ever",
            |a| {
                a.amount = Some(Cents(4_200));
                a.amount_rule = Some(AmountPreset::TariReminder.rule());
                a.recipients[0].payments.push(second_notice(false))
            },
            &[],
        ),
        (
            "async with f24 only",
            |a| {
                a.recipients[0].payments = vec![f24(true)];
                a.pago_pa_int_mode = Some(PagoPaIntMode::Async)
            },
            &[(f::INT_MODE, Code::IntModeConflict, E)],
        ),
        ("201 payments", |a| a.recipients[0].payments = vec![f24(true); 201], &[(f::NOTICE, Code::PaymentsTooMany, E)]),
    ];
    let (flow, sender) = (flow(), sender());
    let rules = Rules { flow: Some(&flow), sender: Some(&sender), today: None, ..Rules::default() };
    for (name, edit, want) in table {
        let mut act = act();
        edit(&mut act);
        assert_eq!(&checked(&mut act, &rules), want, "{name}");
    }
    // Where SEND writes the cost it writes the holder's alone.
    let mut written = flow.clone();
    written.pago_pa_int_mode = Some(PagoPaIntMode::Async);
    let rule = |bearers| Some(AmountRule { bearers, ..AmountRule::flat(CostPolicy::Added) });
    let table = [
        (&written, 2, CostBearers::All, true),
        (&written, 2, CostBearers::Holder, false),
        (&written, 1, CostBearers::All, false),
        (&flow, 2, CostBearers::All, false),
    ];
    for (flow, recipients, bearers, want) in table {
        let mut act = act();
        (act.amount, act.amount_rule) = (Some(Cents(4_200)), rule(bearers));
        if recipients == 2 {
            act.recipients.push(Recipient { tax_id: "FRMTTR76M06B715E".to_owned(), payments: Vec::new(), ..recipient() });
        }
        let told = (f::NOTICE_COST, Code::CostBearersUnfollowed, W);
        let found = checked(&mut act, &Rules { flow: Some(flow), ..rules });
        assert_eq!(found.contains(&told), want, "{recipients} {bearers:?} {:?}: {found:?}", flow.pago_pa_int_mode);
    }
    // A layout without `gruppo_avvisi` cannot say that they are alternatives.
    let mut two = act();
    two.recipients[0].payments.push(second_notice(true));
    assert_eq!(checked(&mut two, &Rules { ungrouped: true, ..rules }), [(f::NOTICE_COST, Code::ApplyCostRepeated, W)]);
    let mut undecided = flow.clone();
    undecided.pago_pa_int_mode = None;
    undecided.vat = None;
    let want = [(f::INT_MODE, Code::FieldMissing, E), (f::VAT, Code::FeePolicyIncomplete, E)];
    assert_eq!(checked(&mut act(), &Rules { flow: Some(&undecided), ..rules }), want);
    let mut flat = flow.clone();
    flat.fee_policy = FeePolicy::FlatRate;
    flat.pago_pa_int_mode = None;
    flat.payment = PaymentPolicy::Forbidden;
    let want = [(f::NOTICE, Code::PaymentForbidden, E), (f::NOTICE_COST, Code::ApplyCostForbidden, E)];
    let mut act = act();
    assert_eq!(checked(&mut act, &Rules { flow: Some(&flat), ..rules }), want);
    assert_eq!(act.pago_pa_int_mode, Some(PagoPaIntMode::None));
    // Without a flow what the row states is the choice, and SEND's own default of the mode is written out.
    let mut bare = super::samples::act();
    bare.fee_policy = Some(FeePolicy::DeliveryMode);
    let want = [(f::PA_FEE, Code::FeePolicyIncomplete, E), (f::VAT, Code::FeePolicyIncomplete, E)];
    assert_eq!(checked(&mut bare, &Rules::default()), want);
    assert_eq!(bare.pago_pa_int_mode, Some(PagoPaIntMode::Sync));
}

#[test]
fn pec_grammar() {
    let table = [
        ("mario.rossi@pec.it", true),
        ("a+b_c@sub.pec-mail.it", true),
        ("mario@pec", false),
        ("@pec.it", false),
        ("mario@@pec.it", false),
        ("mario@-pec.it", false),
        ("mario rossi@pec.it", false),
        ("mario.@pec.it", false),
        ("mario@pec..it", false),
        ("è@pec.it", false),
        ("", false),
    ];
    for (text, want) in table {
        assert_eq!(recipient::is_email(text), want, "{text:?}");
    }
    assert!(!recipient::is_email(&format!("{}@pec.it", "a".repeat(320))));
}

/// Not a measure, a floor: the rules must not be what a batch waits for, even unoptimised.
#[test]
fn many_acts_pass_quickly() {
    let (flow, sender) = (flow(), sender());
    let rules = Rules { flow: Some(&flow), sender: Some(&sender), today: None, ..Rules::default() };
    let mut batch = batch_rules::BatchRules::new();
    let mut out = Vec::new();
    let start = crate::clock::monotonic();
    for number in 0..20_000u64 {
        let mut act = act();
        act.reference = format!("R{number}");
        act.protocol = Some(format!("P{number}"));
        let open = 3_020_000_000_000_000 + number;
        set_notice(&mut act, &format!("{}", open * 100 + open % 93));
        check_act(&mut act, &rules, &mut out);
        batch.check(&act, &crate::batch::row::Place { row: number, ordinal: number, ..Default::default() }, &mut out);
    }
    assert_eq!(out, []);
    let took = start.elapsed();
    assert!(took.as_secs() < 20, "{took:?}");
}

proptest::proptest! {
    /// Whatever a row says, it is judged; and what was judged once is not changed again.
    #[test]
    fn any_row_is_judged_and_comes_to_rest(
        texts in proptest::collection::vec("\\PC{0,50}|[A-Za-z0-9 .,'@_è/-]{0,60}|[0-9]{0,18}", 16),
        person in proptest::bool::ANY,
    ) {
        let mut texts = texts.into_iter();
        let mut next = move || texts.next().unwrap_or_default();
        let mut act = act();
        (act.reference, act.sender_tax_id, act.protocol, act.subject) = (next(), next(), Some(next()), Some(next()));
        act.cancelled_iun = Some(next());
        act.recipients[0].recipient_type = if person { RecipientType::Pf } else { RecipientType::Pg };
        (act.recipients[0].tax_id, act.recipients[0].denomination, act.recipients[0].pec) = (next(), next(), Some(next()));
        let own = address(&mut act);
        (own.address, own.municipality, own.zip, own.province) = (next(), next(), Some(next()), Some(next()));
        (own.at, own.foreign_state) = (Some(next()), Some(next()));
        set_notice(&mut act, &next());
        set_creditor(&mut act, &next());
        let flow = flow();
        let rules = Rules { flow: Some(&flow), ..Rules::default() };
        let first = checked(&mut act, &rules);
        let rested = act.clone();
        proptest::prop_assert_eq!(checked(&mut act, &rules), first);
        proptest::prop_assert_eq!(&act, &rested);
        let mut out = Vec::new();
        let mut batch = batch_rules::BatchRules::new();
        batch.check(&act, &crate::batch::row::Place { row: u64::MAX, ordinal: u64::MAX, ..Default::default() }, &mut out);
        batch.check(&act, &crate::batch::row::Place::default(), &mut out);
        files::FileTable::new(Vec::new()).resolve(&mut act, &rules, &mut |_, _| None, &mut out);
    }
}

#[test]
fn line_breaks_of_descriptions_become_spaces() {
    let mut act = samples::act();
    act.abstract_text = Some("Testo su\r\n  più righe\n".to_owned());
    check_act(&mut act, &Rules::default(), &mut Vec::new());
    assert_eq!(act.abstract_text.as_deref(), Some("Testo su più righe"));
}

fn second_notice(apply_cost: bool) -> Payment {
    let (notice_code, creditor_tax_id) = ("001000000000000141".to_owned(), "15376371009".to_owned());
    Payment::PagoPa { notice_code, creditor_tax_id, apply_cost, attachment: None, position_id: None }
}

#[test]
fn a_row_that_names_the_ready_made_rule_of_its_flow_keeps_what_the_ente_added() {
    use crate::domain::amount_rule::{StatedRule, WhenMissing};
    let sender = sender();
    let of_flow = AmountRule { extra: Some(Cents(1_250)), missing: WhenMissing::Flat, ..AmountPreset::Cds.rule() };
    let flow = FlowDefinition { amount_rule: Some(of_flow.clone()), ..flow() };
    let rules = Rules { flow: Some(&flow), sender: Some(&sender), ..Rules::default() };
    let stated = |preset, extra| StatedRule { preset: Some(preset), extra, ..StatedRule::default() };
    let table = [
        (stated(AmountPreset::Cds, None), Some(Cents(1_250)), WhenMissing::Flat),
        (stated(AmountPreset::Cds, Some(Cents(0))), Some(Cents(0)), WhenMissing::Flat),
        (stated(AmountPreset::CdsWhole, None), None, WhenMissing::Fault),
    ];
    for (row, extra, missing) in table {
        let mut act = act();
        // 42,00 and 12,50 of the ente's own costs.
        act.amount = Some(Cents(4_200 + extra.map_or(0, |extra| extra.0)));
        act.position = Some(PositionData { minimum: Some(Cents(4_200)), maximum: Some(Cents(17_300)), ..PositionData::default() });
        (act.amount_rule, act.stated_rule) = (Some(AmountRule::from(row.clone())), Some(Box::new(row.clone())));
        assert_eq!(checked(&mut act, &rules), [], "{row:?}");
        let rule = act.amount_rule.unwrap();
        assert_eq!((rule.preset, rule.extra, rule.missing, act.stated_rule), (row.preset, extra, missing, None), "{row:?}");
    }
}
