//! PiemontePAY: SOAP in both directions, epayapi, and when things go wrong.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use messo::connectors::ConnectorError;
use messo::connectors::pt::PtSetupError;
use messo::domain::money::Cents;
use messo::domain::position::{Change, Changed, HeldState, WhyUndone};
use messo::sandbox::pt::DebtState;
use serde_json::json;

use crate::common::{ContractProxy, shared_dir};
use crate::world::*;

#[test]
fn piemontepay_keeps_to_its_wsdls_in_both_directions() {
    let runtime = runtime();
    let Some(shared) = shared_dir() else { return };
    let folder = shared.join("reference/pt/piemontepay");
    let world = runtime.block_on(World::new());
    // The ente, as the WSDL of the callbacks has it.
    let ente = served(|request, _| {
        let bad = request.contains("IUD-0099");
        let code = if bad { "200" } else { "000" };
        format!(
            "<c:EPaywsoServiceResponse xmlns:c=\"http://www.csi.it/epay/epaywso/types\"><c:Result><c:Codice>{code}</c:Codice></c:Result></c:EPaywsoServiceResponse>"
        )
    });
    let at: SocketAddr = ente.url.strip_prefix("http://").unwrap().parse().unwrap();
    let Some(out) = ContractProxy::soap(world.pts.addr, &folder.join("Enti2EPaywsoService.wsdl")) else { return };
    let Some(back) = ContractProxy::soap(at, &folder.join("EPaywso2EntiService.wsdl")) else { return };
    runtime.block_on(piemontepay(&world, &format!("{}/piemontepay/soap", out.url()), &format!("{}/pt/piemontepay", back.url())));
    let asked = out.stop();
    asked.assert_clean(&["AggiornaPosizioniDebitorieRequest"]);
    let told = back.stop();
    told.assert_clean(&[
        "EsitoAggiornaPosizioniDebitorieRequest",
        "TrasmettiNotifichePagamentoRequest",
        "TrasmettiRTRequest",
        "TrasmettiAvvisiScadutiRequest",
    ]);
    drop(ente.asked);
}

async fn piemontepay(world: &World, url: &str, callbacks: &str) {
    for number in 1..=6 {
        world.debts.put(debt(number, 10_000));
    }
    world.post("/piemontepay/_config", json!({ "callback_url": callbacks, "username": "ppay", "password": "segreta" })).await;
    let ppay = partner("piemontepay", Some("soap"), url).unwrap();
    let can = ppay.capabilities();
    assert!(!can.verify && can.answers_later && can.needs_position_id && can.update && can.cancel && !can.tells_amount);
    let way = route("piemontepay", None, Some("0007"), "push");
    assert_eq!(name(&ppay.verify(&way, &asked(1)).await.unwrap_err()), "protocol");

    let with_place = Change { cost_place: Some("Spese di notifica".into()), ..change(10_950, 950) };
    let Changed::TakenInCharge { ticket } = ppay.change(&way, &asked(1), &with_place).await.unwrap() else { panic!("done at once") };
    assert_eq!(ticket.len(), 35);
    world.until("the update is worked off", || world.of(1).amount == 10_950).await;
    assert_eq!(world.of(1).due_date.as_deref(), Some("2027-02-28"));
    assert_eq!(world.of(1).more["componenti"][1], json!({ "importo": 950, "causale": "Spese di notifica" }));
    // The same request again: taken in charge before, and done once.
    let again = ppay.change(&way, &asked(1), &with_place).await.unwrap();
    assert_eq!(again, Changed::TakenInCharge { ticket: ticket.clone() });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.of(1).changes.len(), 1);
    // An answer that is lost, then the same request.
    world.fault("piemontepay", "soap", "lost").await;
    assert_eq!(name(&ppay.change(&way, &asked(2), &change(9_000, 0)).await.unwrap_err()), "uncertain");
    assert!(matches!(ppay.change(&way, &asked(2), &change(9_000, 0)).await, Ok(Changed::TakenInCharge { .. })));
    world.until("once", || world.of(2).changes.len() == 1).await;

    assert!(matches!(ppay.cancel(&way, &asked(3), "3/a").await, Ok(Changed::TakenInCharge { .. })));
    world.until("the cancellation is worked off", || world.of(3).state == DebtState::Cancelled).await;
    // One that cannot be changed any more is told later: 178.
    world.put(4, DebtState::Paid);
    assert!(ppay.change(&way, &asked(4), &change(1, 0)).await.is_ok());
    // One ente, one payment type, one position: nobody else's are refused for it.
    let table = [
        (route("piemontepay", Some("123"), Some("0007"), "push"), Some("PD"), "151"),
        (route("piemontepay", None, None, "push"), Some("PD"), "152"),
        (route("piemontepay", None, Some("0007"), "push"), None, "ID_POSIZIONE_MANCANTE"),
    ];
    for (way, position, want) in table {
        let mut about = asked(5);
        about.data.position_id = position.map(str::to_owned);
        let error = ppay.change(&way, &about, &change(500, 0)).await.unwrap_err();
        assert!(matches!(&error, ConnectorError::Refused(problem) if problem.has(want)), "{way:?}: {error}");
    }
    assert_eq!(world.post("/piemontepay/_pay", json!({ "creditor": ENTE, "notice": notice(1) })).await.0, 200);
    assert_eq!(world.post("/piemontepay/_tell", json!({ "creditor": ENTE, "notice": notice(1) })).await.0, 204);
    assert_eq!(world.post("/piemontepay/_expire", json!({ "creditor": ENTE, "notice": notice(6) })).await.0, 204);
    let mut told = world.look("/piemontepay/_told").await;
    for _ in 0..100 {
        if told.as_array().unwrap().iter().filter(|told| told["operation"] == "EsitoAggiornaPosizioniDebitorie").count() >= 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        told = world.look("/piemontepay/_told").await;
    }
    let operations: Vec<&str> = told.as_array().unwrap().iter().map(|told| told["operation"].as_str().unwrap()).collect();
    let count = |wanted: &str| operations.iter().filter(|operation| **operation == wanted).count();
    let seen = ["EsitoAggiornaPosizioniDebitorie", "TrasmettiNotifichePagamento", "TrasmettiRT", "TrasmettiAvvisiScaduti"].map(count);
    assert_eq!(seen, [4, 2, 2, 1], "{told}");
    assert!(told.as_array().unwrap().iter().all(|told| told["answer"] == "000"), "{told}");
    // The outcome may be told before the request is answered.
    world.post("/piemontepay/_config", json!({ "callback_url": callbacks, "hasty": true })).await;
    assert!(ppay.change(&way, &asked(5), &change(7_000, 0)).await.is_ok());
    assert_eq!((world.of(5).amount, world.look("/piemontepay/_told").await.as_array().unwrap().len()), (7_000, 10));
}

#[test]
fn epayapi_keeps_to_its_specification() {
    let runtime = runtime();
    let Some(shared) = shared_dir() else { return };
    let folder = tempfile::tempdir().unwrap();
    let specification = readable_epayapi(&shared.join("reference/pt/piemontepay/epayapi_v1.1.yaml"), folder.path());
    let world = runtime.block_on(World::new());
    let Some(proxy) = ContractProxy::start_with(world.pts.addr, Some((specification, "/piemontepay/api/v1"))) else { return };
    runtime.block_on(epayapi(&world, &format!("{}/piemontepay/api/v1", proxy.url())));
    proxy.stop().assert_clean(&["getDebtPositionStatus", "getDebtPositionData", "updateDebtPositions", "deleteDebtPositions"]);
}

/// The codes of `Status` are listed as numbers under `type: string`, so that no value at all is allowed: here they are the texts
/// that they are meant to be.
fn readable_epayapi(file: &Path, folder: &Path) -> std::path::PathBuf {
    let text = std::fs::read_to_string(file).unwrap();
    let codes = "enum: [0,1,2,3,4]";
    assert_eq!(text.matches(codes).count(), 1, "the specification has changed");
    let copy = folder.join("epayapi.yaml");
    std::fs::write(&copy, text.replace(codes, "enum: ['0','1','2','3','4']")).unwrap();
    copy
}

async fn epayapi(world: &World, url: &str) {
    for number in 1..=4 {
        world.debts.put(debt(number, 10_000));
    }
    let ppay = partner("piemontepay", Some("rest"), url).unwrap();
    let can = ppay.capabilities();
    assert!(can.verify && !can.answers_later && !can.tells_amount && can.update && can.cancel);
    let way = route("piemontepay", None, Some("0007"), "push");
    let states = [
        (DebtState::Unpaid, HeldState::Payable),
        (DebtState::Cancelled, HeldState::Cancelled),
        (DebtState::Draft, HeldState::NotActive),
        (DebtState::Expired, HeldState::Expired),
    ];
    for (there, here) in states {
        world.put(1, there);
        let told = ppay.verify(&way, &asked(1)).await.unwrap();
        assert_eq!((told.state, told.amount), (here, None));
    }
    world.put(1, DebtState::Unpaid);
    let with_place = Change { cost_place: Some("Notifica".into()), ..change(10_995, 995) };
    assert_eq!(ppay.change(&way, &asked(1), &with_place).await, Ok(Changed::Done));
    let after = world.of(1);
    assert_eq!((after.amount, after.due_date.as_deref(), &after.more["requiresCostUpdate"]), (10_995, Some("2027-02-28"), &json!(false)));
    // Asked when it is paid: the flag must survive an update.
    let pull = route("piemontepay", None, Some("0007"), "pull");
    assert_eq!(ppay.change(&pull, &asked(1), &change(10_000, 0)).await, Ok(Changed::Done));
    assert_eq!(world.of(1).more["requiresCostUpdate"], json!(true));

    assert_eq!(ppay.change(&way, &asked(2), &change(9_000, 0)).await, Ok(Changed::Done));
    for (there, want) in [(DebtState::BeingPaid, "conflict"), (DebtState::Paid, "conflict"), (DebtState::Cancelled, "conflict")] {
        world.put(2, there);
        assert_eq!(name(&ppay.change(&way, &asked(2), &change(1, 0)).await.unwrap_err()), want, "{there:?}");
    }
    assert_eq!(world.of(2).amount, 9_000);
    assert_eq!(ppay.cancel(&way, &asked(3), "3/a").await, Ok(Changed::Done));
    assert_eq!(ppay.cancel(&way, &asked(3), "3/a").await, Ok(Changed::Done), "again");
    assert_eq!(name(&ppay.verify(&way, &asked(99)).await.unwrap_err()), "not found");

    let (status, paid) = world.post("/piemontepay/_pay", json!({ "creditor": ENTE, "notice": notice(4) })).await;
    assert_eq!(status, 200, "{paid}");
    let told = ppay.verify(&way, &asked(4)).await.unwrap();
    let payment = told.payment.unwrap();
    assert_eq!((told.state, told.amount, payment.amount), (HeldState::Paid, Some(Cents(10_000)), Cents(10_000)));
    assert_eq!(payment.receipt, Some(format!("IUR{}", &notice(4)[1..])));
    assert_eq!(name(&ppay.cancel(&way, &asked(4), "4/a").await.unwrap_err()), "conflict");
    for (amount, cost) in [(0, 0), (-5, 0), (100_000_000_000, 0)] {
        assert_eq!(name(&ppay.change(&way, &asked(1), &change(amount, cost)).await.unwrap_err()), "refused", "{amount}");
    }
}

#[test]
fn piemontepay_when_things_go_wrong() {
    runtime().block_on(async {
        let world = World::new().await;
        world.debts.put(debt(1, 10_000));
        let way = route("piemontepay", None, Some("0007"), "push");
        let rest = partner("piemontepay", Some("rest"), &format!("{}/piemontepay/api/v1", world.pts.url())).unwrap();
        let soap = partner("piemontepay", None, &format!("{}/piemontepay/soap", world.pts.url())).unwrap();
        let faults = [
            (&rest, "PUT", "lost", "uncertain"),
            (&rest, "PUT", "garbage", "uncertain"),
            (&rest, "PUT", "500", "uncertain"),
            (&rest, "PUT", "503", "temporary"),
            (&rest, "PUT", "429", "temporary"),
            (&rest, "PUT", "401", "sender"),
            (&rest, "PUT", "403", "refused"),
            (&soap, "AggiornaPosizioni", "garbage", "uncertain"),
            (&soap, "AggiornaPosizioni", "500", "uncertain"),
            (&soap, "AggiornaPosizioni", "404", "unclassified"),
        ];
        for (index, (ppay, operation, kind, want)) in faults.into_iter().enumerate() {
            world.fault("piemontepay", operation, kind).await;
            let error = ppay.change(&way, &asked(1), &change(9_000 + index as i64, 0)).await.unwrap_err();
            assert_eq!(name(&error), want, "{operation} {kind}: {error}");
        }
        world.fault("piemontepay", "status", "garbage").await;
        assert_eq!(name(&rest.verify(&way, &asked(1)).await.unwrap_err()), "protocol");

        // What PiemontePAY answers at once, by code.
        let codes = [
            ("150", "taken"),
            ("151", "refused"),
            ("154", "unclassified"),
            ("176", "not found"),
            ("178", "conflict"),
            ("184", "refused"),
            ("200", "temporary"),
            ("", "uncertain"),
        ];
        for (code, want) in codes {
            let server = served(move |_, _| {
                format!("<EPaywsoServiceResponse xmlns=\"http://www.csi.it/epay/epaywso/types\"><Result><Codice>{code}</Codice></Result></EPaywsoServiceResponse>")
            });
            let ppay = partner("piemontepay", Some("soap"), &server.url).unwrap();
            let said = match ppay.change(&way, &asked(1), &change(9_000, 0)).await {
                Ok(Changed::TakenInCharge { .. }) => "taken",
                Ok(Changed::Done) => "done",
                Err(error) => name(&error),
            };
            assert_eq!(said, want, "{code}");
            let asked = server.asked.lock().unwrap().join("");
            assert!(asked.contains("<IdPosizioneDebitoria>IUD-0001</IdPosizioneDebitoria>"), "{asked}");
        }
        let undone: Vec<WhyUndone> = ["178", "200", "399", "184"].map(|code| soap.undone(code)).into();
        assert_eq!(undone, [WhyUndone::Paid, WhyUndone::Again, WhyUndone::Again, WhyUndone::Refused]);
        assert!(matches!(partner("piemontepay", Some("ftp"), "http://x.example"), Err(PtSetupError::Profile(_))));
    });
}
