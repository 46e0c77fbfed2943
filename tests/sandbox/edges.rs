//! Streams, keys, vouchers, faults and the command itself.

use super::*;

#[tokio::test]
async fn streams_page_confirm_and_guard() {
    let world = World::start(|_| {}).await;
    let wish = |title: &str, extra: Value| {
        let mut wish = json!({"title": title, "eventType": "TIMELINE", "groups": []});
        wish.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        wish
    };
    let all = world.stream(wish("tutto", json!({}))).await;
    let default = world.stream(wish("default", json!({"filterValues": ["DEFAULT", "AAR_GENERATION"]}))).await;
    let status =
        world.stream(json!({"title": "stati", "eventType": "STATUS", "groups": [], "filterValues": ["ACCEPTED", "DELIVERED"]})).await;
    let (empty, pause) = world.events(&all, None).await;
    assert!(empty.is_empty() && pause >= 200, "an empty page tells a pause in milliseconds");
    for number in 0..6 {
        let body = world.request(&format!("E{number}"), "VIA ROMA").await;
        world.send(&body).await;
    }
    let mut seen: Vec<Value> = Vec::new();
    for _ in 0..400 {
        let last = seen.last().map(|event| event["eventId"].as_str().unwrap().to_owned());
        let (page, pause) = world.events(&all, last.as_deref()).await;
        assert!(page.len() <= 50);
        assert_eq!(pause == 0, !page.is_empty());
        // Asked again with the same confirmation, the same events come (perhaps more at the tail).
        let (again, _) = world.events(&all, last.as_deref()).await;
        // (An IUN may have been given meanwhile: it is told once the request is accepted.)
        let told = |events: &[Value]| events.iter().map(|event| event["eventId"].clone()).collect::<Vec<_>>();
        assert_eq!(told(&again[..page.len()]), told(&page));
        seen.extend(page);
        if seen.iter().filter(|event| event["element"]["category"] == "REFINEMENT").count() == 6 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ids: Vec<&str> = seen.iter().map(|event| event["eventId"].as_str().unwrap()).collect();
    assert!(ids.is_sorted() && ids.len() > 100, "{}", ids.len());
    let (first, _) = world.events(&all, None).await;
    assert!(first.is_empty() || first[0]["eventId"].as_str().unwrap() > ids[50], "confirmed events are gone");
    let (few, _) = world.events(&default, None).await;
    assert!(few.iter().any(|event| event["element"]["category"] == "AAR_GENERATION"));
    assert!(few.iter().all(|event| event["element"]["category"] != "SCHEDULE_REFINEMENT"));
    let (changes, _) = world.events(&status, None).await;
    assert_eq!(changes.len(), 12, "acceptance and delivery of six");
    for bad in ["1", "00000000000000000000000000000000000001", "x0000000000000000000000000000000000001"] {
        let response = world.call(Method::GET, &format!("{STREAMS}/{all}/events?lastEventId={bad}"), None).await;
        assert_eq!(response.status() == 400, bad.len() != 38 || !bad.starts_with('0'), "{bad}");
    }

    // Update, replacement, disabling, removal.
    let (code, changed) =
        answer(world.call(Method::PUT, &format!("{STREAMS}/{all}"), Some(&wish("nuovo", json!({"filterValues": ["REFINEMENT"]})))).await)
            .await;
    assert_eq!((code.as_u16(), &changed["title"], &changed["version"]), (200, &json!("nuovo"), &json!("v29")));
    let (code, problem) =
        answer(world.call(Method::PUT, &format!("{STREAMS}/{all}"), Some(&wish("x", json!({"groups": ["g"]})))).await).await;
    assert_eq!((code.as_u16(), codes(&problem)), (403, vec!["PN_WEBHOOK_FORBIDDEN"]));
    let fresh = world.stream(wish("sostituto", json!({"replacedStreamId": all}))).await;
    assert!(world.get(&format!("{STREAMS}/{all}")).await.1["disabledDate"].is_string());
    assert_eq!(world.call(Method::PUT, &format!("{STREAMS}/{all}"), Some(&wish("x", json!({})))).await.status(), 403);
    let body = world.request("E9", "VIA ROMA").await;
    let iun = world.accepted(&body).await;
    world.until(&iun, "SEND_ANALOG_DOMICILE").await;
    let (events, _) = world.events(&fresh, None).await;
    assert!(events[0]["eventId"].as_str().unwrap() > *ids.last().unwrap(), "the replacement counts on");
    let (old, _) = world.events(&all, None).await;
    assert!(old.iter().all(|event| event["iun"] != *iun), "nothing new in a disabled stream");
    let disabled = world.call(Method::POST, &format!("{STREAMS}/{fresh}/action/disable"), None).await;
    assert_eq!(disabled.status(), 200);
    assert_eq!(world.call(Method::DELETE, &format!("{STREAMS}/{default}"), None).await.status(), 204);
    assert_eq!(world.get(&format!("{STREAMS}/{default}")).await.0, 404);

    // Ten active at most; the disabled ones do not count.
    for number in 0..9 {
        world.stream(wish(&number.to_string(), json!({}))).await;
    }
    let (code, problem) = world.post(STREAMS, &wish("undicesimo", json!({}))).await;
    assert_eq!((code.as_u16(), codes(&problem)), (409, vec!["PN_WEBHOOK_MAXSTREAMSCOUNTREACHED"]));
    let (_, list) = world.get(STREAMS).await;
    assert_eq!(list.as_array().unwrap().len(), 12);
    for bad in [
        json!({"title": "t", "eventType": "TIMELINE"}),
        json!({"title": "t", "eventType": "ALTRO", "groups": []}),
        json!({"eventType": "STATUS", "groups": []}),
    ] {
        assert_eq!(world.post(STREAMS, &bad).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_replacement_takes_the_place_of_the_other_or_changes_nothing() {
    let world = World::start(|options| options.limits.max_streams = 2).await;
    let wish = |more: Value| {
        let mut wish = json!({"title": "t", "eventType": "TIMELINE", "groups": []});
        wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        wish
    };
    let refused = |told: (reqwest::StatusCode, Value)| (told.0.as_u16(), codes(&told.1).first().map(|code| (*code).to_owned()));
    let (old, other) = (world.stream(wish(json!({}))).await, world.stream(wish(json!({}))).await);
    let unknown = wish(json!({"replacedStreamId": "00000000-0000-4000-8000-000000000000"}));
    assert_eq!(refused(world.post(STREAMS, &unknown).await), (404, Some("PN_WEBHOOK_NOT_FOUND".to_owned())));
    // A key with groups may not touch a stream without, and what it asked for leaves that one as it was.
    let bound = World { key: "12345678903-gruppo=vigili", ..world.clone() };
    let mine = wish(json!({"groups": ["vigili"], "replacedStreamId": old}));
    assert_eq!(refused(bound.post(STREAMS, &mine).await), (403, Some("PN_WEBHOOK_FORBIDDEN".to_owned())));
    assert!(world.get(&format!("{STREAMS}/{old}")).await.1.get("disabledDate").is_none());

    let body = world.request("S1", "VIA ROMA").await;
    let iun = world.accepted(&body).await;
    world.until(&iun, "REFINEMENT").await;
    // All places are taken, but the one that is replaced leaves its own.
    let new = world.stream(wish(json!({"replacedStreamId": old}))).await;
    assert!(world.get(&format!("{STREAMS}/{old}")).await.1["disabledDate"].is_string());
    assert_eq!(refused(world.post(STREAMS, &wish(json!({}))).await), (409, Some("PN_WEBHOOK_MAXSTREAMSCOUNTREACHED".to_owned())));
    assert_eq!(refused(world.post(STREAMS, &wish(json!({"replacedStreamId": old}))).await), (403, Some("PN_WEBHOOK_FORBIDDEN".to_owned())));
    let body = world.request("S2", "VIA ROMA").await;
    let later = world.accepted(&body).await;
    world.until(&later, "REFINEMENT").await;
    // The old one is read to its end, page by page, and confirmed as ever; what came later is in the new one alone.
    let all = async |stream: &str| {
        let mut seen: Vec<Value> = Vec::new();
        loop {
            let last = seen.last().map(|event| event["eventId"].as_str().unwrap().to_owned());
            let (page, _) = world.events(stream, last.as_deref()).await;
            if page.is_empty() {
                return seen;
            }
            seen.extend(page);
        }
    };
    let (told, after, both) = (all(&old).await, all(&new).await, all(&other).await);
    let ids = |events: &[Value]| events.iter().map(|event| event["element"]["elementId"].clone()).collect::<Vec<_>>();
    assert_eq!([ids(&told), ids(&after)].concat(), ids(&both), "nothing is in both, nothing in neither");
    assert!(told.iter().all(|event| event["iun"] == *iun) && after.iter().all(|event| event["iun"] == *later));
    assert!(told.last().unwrap()["eventId"].as_str().unwrap() < after[0]["eventId"].as_str().unwrap());
}

#[tokio::test]
async fn events_come_twice_and_out_of_order_on_demand_and_none_is_lost() {
    for (kind, rate) in [("duplicate", 1.0), ("shuffle", 1.0), ("shuffle", 0.5)] {
        let faults = format!("[[fault]]\noperation = \"events\"\nkind = \"{kind}\"\nrate = {rate}\n");
        let world = World::start(|options| options.faults = Some(messo::sandbox::Faults::parse(&faults).unwrap())).await;
        let stream = world.stream(json!({"title": "t", "eventType": "TIMELINE", "groups": []})).await;
        let mut iuns = Vec::new();
        for number in 0..4 {
            let body = world.request(&format!("D{number}"), "VIA ROMA").await;
            iuns.push(world.accepted(&body).await);
        }
        let mut wanted: Vec<String> = Vec::new();
        for iun in &iuns {
            let detail = world.until(iun, "REFINEMENT").await;
            wanted.extend(detail["timeline"].as_array().unwrap().iter().map(|element| element["elementId"].as_str().unwrap().to_owned()));
        }
        let mut seen: Vec<Value> = Vec::new();
        let mut again = Vec::new();
        loop {
            let last = seen.last().map(|event| event["eventId"].as_str().unwrap().to_owned());
            let (page, _) = world.events(&stream, last.as_deref()).await;
            // Asked again before it is confirmed, the page is the same, whatever it was.
            let (repeated, _) = world.events(&stream, last.as_deref()).await;
            assert_eq!(repeated[..page.len()], page[..], "{kind}");
            if page.is_empty() {
                break;
            }
            again.push(page.len());
            seen.extend(page);
            assert!(seen.len() < 10 * wanted.len(), "{kind}: it never ends");
        }
        let ids: Vec<&str> = seen.iter().map(|event| event["eventId"].as_str().unwrap()).collect();
        assert!(ids.is_sorted() && ids.windows(2).all(|two| two[0] < two[1]), "{kind}: numbers always grow");
        let mut told: Vec<String> = seen.iter().map(|event| event["element"]["elementId"].as_str().unwrap().to_owned()).collect();
        let times: Vec<&str> = seen.iter().map(|event| event["element"]["eventTimestamp"].as_str().unwrap()).collect();
        assert!(!times.is_sorted(), "{kind}: in the order of time");
        let count = told.len();
        told.sort();
        told.dedup();
        assert_eq!(count, if kind == "duplicate" { 2 * told.len() } else { told.len() }, "{kind}");
        wanted.sort();
        assert_eq!(told, wanted, "{kind}");
    }
}

#[tokio::test]
async fn what_the_command_cannot_obey_it_refuses() {
    for cold in ["--cold=5", "--cold=-0.1", "--cold=NaN", "--cold=molti"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_messo"));
        let output = command.args(["sandbox", "--listen", "127.0.0.1:0", cold]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{cold}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn keys_with_groups_see_their_groups_only() {
    let world = World::start(|_| {}).await;
    let bound = World { key: "12345678903-gruppo=vigili", ..world.clone() };
    let mut body = world.request("G1", "VIA ROMA").await;
    let (status, problem) = bound.post(REQUESTS, &body).await;
    assert_eq!((status.as_u16(), codes(&problem)), (400, vec!["PN_DELIVERY_INVALIDPARAMETER_GROUP"]));
    body["group"] = "vigili".into();
    let wish = |groups: Value| json!({"title": "t", "eventType": "TIMELINE", "groups": groups});
    assert_eq!(bound.post(STREAMS, &wish(json!([]))).await.0, 403);
    let mine = bound.stream(wish(json!(["vigili"]))).await;
    let others = world.stream(wish(json!(["tributi"]))).await;
    let everything = world.stream(wish(json!([]))).await;
    let iun = bound.accepted(&body).await;
    bound.until(&iun, "AAR_GENERATION").await;
    assert!(!bound.events(&mine, None).await.0.is_empty());
    assert!(!world.events(&everything, None).await.0.is_empty());
    assert!(world.events(&others, None).await.0.is_empty());
    assert_eq!(bound.get(&format!("{STREAMS}/{others}/events")).await.0, 403);
    let stranger = World { key: "12345678903-gruppo=tributi", ..world.clone() };
    assert_eq!(stranger.get(&format!("/delivery/v2.8/notifications/sent/{iun}")).await.0, 404);
}

#[tokio::test]
async fn keys_and_vouchers_are_asked_for() {
    let world = World::start(|_| {}).await;
    let status = async |headers: &[(&'static str, &str)]| {
        let request =
            headers.iter().fold(world.client.get(format!("{}/status", world.base)), |request, (name, value)| request.header(*name, *value));
        let (status, body) = answer(request.send().await.unwrap()).await;
        (status.as_u16(), body["message"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(status(&[]).await, (401, "Unauthorized".to_owned()));
    assert_eq!(status(&[("x-api-key", "comune")]).await, (403, "Forbidden".to_owned()));
    assert_eq!(status(&[("x-api-key", KEY), ("authorization", "Bearer x")]).await.0, 401, "no voucher where none is wanted");
    let wanting = "12345678903-pdnd";
    assert_eq!(status(&[("x-api-key", wanting)]).await.0, 401);

    use base64::Engine;
    let encode = |value: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value);
    let now = Clock::REAL.now().as_second();
    let assertion = |change: &dyn Fn(&mut Value, &mut Value), signature: usize| {
        let mut header = json!({"alg": "RS256", "typ": "JWT", "kid": "k1"});
        let mut claims = json!({"iss": "c1", "sub": "c1", "aud": "auth", "jti": "j1", "purposeId": "p", "iat": now, "exp": now + 100});
        change(&mut header, &mut claims);
        format!("{}.{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()), encode(&vec![7; signature]))
    };
    let token = async |assertion: &str| {
        let form = [
            ("client_id", "c1"),
            ("client_assertion", assertion),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("grant_type", "client_credentials"),
        ];
        answer(world.client.post(format!("{}/_pdnd/token", world.base)).form(&form).send().await.unwrap()).await
    };
    type Change<'a> = &'a dyn Fn(&mut Value, &mut Value);
    let wrong: [(Change<'_>, usize, &str); 6] = [
        (&|header, _| header["alg"] = "none".into(), 256, "RS256"),
        (&|header, _| drop(header.as_object_mut().unwrap().remove("kid")), 256, "kid"),
        (&|_, claims| claims["sub"] = "altro".into(), 256, "sub"),
        (&|_, claims| claims["exp"] = 1.into(), 256, "scaduta"),
        (&|_, claims| drop(claims.as_object_mut().unwrap().remove("purposeId")), 256, "purposeId"),
        (&|_, _| (), 32, "firma"),
    ];
    for (change, signature, words) in wrong {
        let (code, body) = token(&assertion(change, signature)).await;
        assert!(code == 400 && body.to_string().contains(words), "{words}: {body}");
    }
    let good = assertion(&|_, _| (), 256);
    let (code, voucher) = token(&good).await;
    assert_eq!((code.as_u16(), &voucher["token_type"], &voucher["expires_in"]), (200, &json!("Bearer"), &json!(600)));
    let bearer = format!("Bearer {}", voucher["access_token"].as_str().unwrap());
    assert_eq!(status(&[("x-api-key", wanting), ("authorization", &bearer)]).await.0, 200);
    assert_eq!(status(&[("x-api-key", wanting), ("authorization", "Bearer altro")]).await.0, 401);
    assert_eq!(token(&good).await.0, 400, "a jti serves once");
    let (code, problem) = world.get("/delivery/v2.6/requests").await;
    assert_eq!((code.as_u16(), problem["status"].as_u64()), (404, Some(404)), "what is not covered");
}

#[tokio::test]
async fn faults_strike_as_ordered() {
    let faults = |text: &str| Some(Faults::parse(text).unwrap());
    let one = |kind: &str, operation: &str| format!("[[fault]]\noperation = \"{operation}\"\nkind = \"{kind}\"\nms = 150\n");

    for (kind, status) in [("429", 429), ("500", 500), ("503", 503)] {
        let world = World::start(|options| options.faults = faults(&one(kind, "send"))).await;
        let body = world.request("F1", "VIA ROMA").await;
        let (code, answer) = world.post(REQUESTS, &body).await;
        assert_eq!(code.as_u16(), status, "{answer}");
        assert_eq!(answer["errors"].is_array(), kind == "500", "only the platform speaks in Problems: {answer}");
        assert_eq!(world.get(&format!("{REQUESTS}?paProtocolNumber=F1&idempotenceToken=token-F1")).await.0, 404, "{kind}: no effect");
    }
    for (kind, effect) in [("lost", true), ("reset", false), ("truncated", true)] {
        let world = World::start(|options| options.faults = faults(&one(kind, "send"))).await;
        let body = world.request("F2", "VIA ROMA").await;
        let sent = world.client.post(format!("{}{REQUESTS}", world.base)).header("x-api-key", KEY).json(&body).send().await;
        match sent {
            Ok(response) => {
                assert_eq!((kind, response.status().as_u16()), ("truncated", 202));
                assert!(response.bytes().await.is_err(), "the body ends early");
            }
            Err(_) => assert_ne!(kind, "truncated"),
        }
        let found = world.get(&format!("{REQUESTS}?paProtocolNumber=F2&idempotenceToken=token-F2")).await.0;
        assert_eq!(found == 200, effect, "{kind}");
    }
    let world = World::start(|options| options.faults = faults(&(one("wrong_json", "price") + &one("slow", "status")))).await;
    let (code, answer) = world.get("/delivery/v2.3/price/77777777777/302010000000000001").await;
    assert!(code == 404 && answer.get("errors").is_none() && answer.is_object(), "{answer}");
    let began = messo::clock::monotonic();
    world.get(&format!("{REQUESTS}?paProtocolNumber=x&idempotenceToken=y")).await;
    assert!(began.elapsed() >= Duration::from_millis(150));
    let (_, counters) = world.get("/_sandbox/counters").await;
    assert_eq!((&counters["operations"]["price"], &counters["faults"]), (&json!(1), &json!(2)), "{counters}");
}

#[tokio::test]
async fn payments_cold_facts_and_the_inspection_pages() {
    let world = World::start(|options| options.limits.cold_facts = 1.0).await;
    let mut body = world.request("I1", "VIA @VISIONE").await;
    body["recipients"][0]["payments"] = json!([pago_pa("302010000000000300", false)]);
    let mut live = world.client.get(format!("{}/_sandbox/events", world.base)).send().await.unwrap();
    let iun = world.accepted(&body).await;
    let paid = |notice: &str| json!({"events": [{"noticeCode": notice, "creditorTaxId": "77777777777", "paymentDate": "2026-03-01T10:00:00Z", "amount": 5000}]});
    assert_eq!(world.post("/delivery/events/payment/pagopa", &paid("302010000000000300")).await.0, 204);
    assert_eq!(world.post("/delivery/events/payment/pagopa", &paid("302010000000000301")).await.0, 404);
    assert_eq!(world.post("/delivery/events/payment/pagopa", &json!({"events": [{}]})).await.0, 400);
    let detail = world.until(&iun, "NOTIFICATION_VIEWED").await;
    let of = |category: &str| detail["timeline"].as_array().unwrap().iter().find(|element| element["category"] == category).unwrap();
    assert_eq!(of("PAYMENT")["details"]["amount"], 5000);
    let viewed = of("NOTIFICATION_VIEWED");
    assert_eq!(viewed["details"]["notificationCost"], 630);
    let (_, price) = world.get("/delivery/v2.3/price/77777777777/302010000000000300").await;
    assert_eq!((&price["totalPrice"], &price["partialPrice"]), (&json!(0), &json!(0)), "flat rate");
    assert!(price["notificationViewDate"].is_string());

    let key = viewed["legalFactsIds"][0]["key"].as_str().unwrap().strip_prefix("safestorage://").unwrap().to_owned();
    let path = format!("/delivery-push/{iun}/download/legal-facts/{key}");
    let (_, cold) = world.get(&path).await;
    assert!(cold.get("url").is_none() && cold["retryAfter"] == 60, "{cold}");
    assert!(world.get(&path).await.1["url"].is_string(), "warm the second time");
    assert_eq!(world.get(&format!("/delivery-push/{iun}/download/legal-facts/altro.pdf")).await.0, 404);

    let (_, notifications) = world.get("/_sandbox/notifications").await;
    let one = &notifications[0];
    assert_eq!(
        (&one["iun"], &one["paProtocolNumber"], &one["status"], &one["cancelled"]),
        (&json!(iun), &json!("I1"), &json!("VIEWED"), &json!(false))
    );
    assert_eq!(
        (&one["files"][0]["sha256"], &one["recipients"][0]["notices"][0]),
        (&json!(Sha256::of(PDF).to_hex()), &json!("77777777777/302010000000000300"))
    );
    assert_eq!(world.get("/_sandbox/notifications?pa=77777777777").await.1, json!([]));
    assert_eq!(world.get("/_sandbox/uploads").await.1[0]["size"], PDF.len());
    let mut text = String::new();
    while !text.contains("NOTIFICATION_VIEWED") {
        text.push_str(std::str::from_utf8(&live.chunk().await.unwrap().expect("the feed goes on")).unwrap());
    }
    assert!(text.lines().next().unwrap().starts_with(&format!("{{\"iun\":\"{iun}\"")));
}

#[tokio::test]
async fn the_command_says_where_it_listens_and_stops_when_told() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let faults = folder.path().join("guasti.toml");
    std::fs::write(&faults, "[[fault]]\noperation = \"platform\"\nkind = \"503\"\n").unwrap();
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_messo"))
        .args(["sandbox", "--listen", "127.0.0.1:0", "--clock", "1440", "--faults"])
        .arg(&faults)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let url = line.trim().strip_prefix("sandbox in ascolto su ").unwrap_or_else(|| panic!("{line:?}"));
    let response =
        Client::builder().no_proxy().build().unwrap().get(format!("{url}/status")).header("x-api-key", KEY).send().await.unwrap();
    assert_eq!(response.status(), 503);
    rustix::process::kill_process(rustix::process::Pid::from_raw(child.id().unwrap() as i32).unwrap(), rustix::process::Signal::TERM)
        .unwrap();
    assert!(child.wait().await.unwrap().success());
    let bad =
        tokio::process::Command::new(env!("CARGO_BIN_EXE_messo")).args(["sandbox", "--faults", "/non/esiste.toml"]).output().await.unwrap();
    assert_eq!(bad.status.code(), Some(2));
}

#[tokio::test]
async fn async_looks_for_its_positions_and_writes_its_cost_on_them() {
    let debts = Arc::new(messo::sandbox::pt::Debts::default());
    let shared = debts.clone();
    let world = World::start(|options| options.debts = Some(shared)).await;
    let debt =
        json!({ "creditor": "77777777777", "notice": "302000000000000184", "position_id": "P1", "amount": 10_000, "state": "unpaid" });
    debts.put(serde_json::from_value(debt).unwrap());
    let body = async |protocol: &str, notice: &str| {
        let mut body = world.request(protocol, "VIA @OK_890 1").await;
        body["pagoPaIntMode"] = "ASYNC".into();
        body["paFee"] = 100.into();
        body["vat"] = 22.into();
        body["notificationFeePolicy"] = "DELIVERY_MODE".into();
        body["recipients"][0]["payments"] = json!([pago_pa(notice, true)]);
        body
    };
    let unknown = world.validated(&body("S1", "302000000000000285").await).await;
    assert_eq!((unknown["notificationRequestStatus"].as_str(), codes(&unknown)), (Some("REFUSED"), vec!["PAYMENT_NOT_VALID"]));
    let iun = world.accepted(&body("S2", "302000000000000184").await).await;
    world.until(&iun, "REFINEMENT").await;
    let (_, price) = world.get("/delivery/v2.3/price/77777777777/302000000000000184").await;
    let debt = debts.get("77777777777", "302000000000000184").unwrap();
    assert_eq!((Some(debt.fee), debt.amount), (price["totalPrice"].as_i64(), 10_000), "the cost is apart");
    let fees: Vec<i64> = debt.changes.iter().map(|change| change.fee).collect();
    assert_eq!(fees, [200, debt.fee], "at the validation, then with the letter");
    let (status, _) = answer(world.call(Method::PUT, &format!("/delivery-push/v2.0/notifications/cancel/{iun}"), None).await).await;
    assert!(status.is_success(), "{status}");
    world.until(&iun, "NOTIFICATION_CANCELLED").await;
    assert_eq!(debts.get("77777777777", "302000000000000184").unwrap().fee, 0);
}

#[tokio::test]
async fn the_command_starts_the_partners_beside() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_messo"))
        .args(["sandbox", "--listen", "127.0.0.1:0", "--pt", "127.0.0.1:0", "--pt-user", "io", "--pt-password", "segreto"])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next_line().await.unwrap().unwrap();
    let line = lines.next_line().await.unwrap().unwrap();
    let url = line.strip_prefix("simulatori dei PT in ascolto su ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
    let http = Client::builder().no_proxy().build().unwrap();
    let debt =
        json!({ "creditor": "77777777777", "notice": "302000000000000184", "position_id": "P1", "amount": 10_000, "state": "unpaid" });
    assert_eq!(http.post(format!("{url}/_pt/debts")).json(&debt).send().await.unwrap().status(), 201);
    let pendenza = format!("{url}/govpay/backend/api/pendenze/rs/basic/v2/pendenze/byAvviso/77777777777/302000000000000184");
    assert_eq!(http.get(&pendenza).basic_auth("io", Some("altro")).send().await.unwrap().status(), 401);
    let (status, pendenza) = answer(http.get(&pendenza).basic_auth("io", Some("segreto")).send().await.unwrap()).await;
    assert_eq!((status, &pendenza["importo"]), (StatusCode::OK, &json!(100.0)));
    let at = jiff::Timestamp::from_millisecond(0).unwrap();
    let pay = json!({ "creditor": "77777777777", "notice": "302000000000000184", "at": at });
    assert_eq!(http.post(format!("{url}/_pt/pay")).json(&pay).send().await.unwrap().status(), 202);
    for _ in 0..100 {
        let debt = http.get(format!("{url}/_pt/debts/77777777777/302000000000000184")).send().await.unwrap();
        if answer(debt).await.1["paid_amount"] == 10_000 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never paid");
}
