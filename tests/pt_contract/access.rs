//! Partners that want a token, a private authority or a client certificate.

use super::*;

/// A declared PT with a token: PU's door, described in a few lines. It only tells a state.
#[tokio::test]
async fn declared_by_bearer() {
    const DESCRIPTION: &str = r#"
format = "json"
amounts = "centesimi"
[access]
kind = "bearer"
scope = "openid"
grant = "indirizzo"
[verify]
method = "GET"
path = "/organization/{{ codice_fiscale_ente }}/payment/NOTICE_NUMBER/{{ avviso }}"
[verify.answer]
notice = "/paymentId"
state = "/status"
[verify.states]
UNPAID = "PAGABILE"
PAID = "PAGATA"
[verify.errors]
"HTTP 404" = "sconosciuto"
"#;
    const SUBJECT: Subject = Subject {
        kind: "dichiarativo",
        at: "pu",
        path: "/sil",
        more: "definition = \"{secret}.toml\"\ntoken_url = \"{base}/pu/auth/oauth/token\"\nclient_id = \"comune\"\n\
               client_secret = \"file:{secret}\"",
        ..NOTHING
    };
    // A block as any other, once its description is there.
    let world = World::new(&PU).await;
    std::fs::write(world.folder.path().join("segreto.toml"), DESCRIPTION).unwrap();
    let partner = partner(&SUBJECT, &world.pts.url(), world.folder.path(), 60).unwrap();
    let only_asked = Capabilities { verify: true, ..Capabilities::NOTHING };
    assert_eq!(partner.capabilities(), only_asked);
    let ask = async |number| state(&partner.verify(&world.route, &asked(number)).await);
    let unpaid = world.owe(DebtState::Unpaid);
    assert_eq!(ask(unpaid).await, "PAGABILE");
    assert_eq!(ask(world.owe(DebtState::Paid)).await, "PAGATA");
    assert_eq!(ask(world.owe(DebtState::Expired)).await, "protocol", "a state that is not declared");
    assert_eq!(ask(999).await, "not found");
    // A token that the PT no longer takes is asked for again, once.
    world.fault("GET", "401", 1).await;
    assert_eq!(ask(unpaid).await, "PAGABILE");
    world.fault("GET", "401", 2).await;
    assert_eq!(ask(unpaid).await, "sender");
    world.heal().await;
    assert_eq!(name(&partner.change(&world.route, &asked(unpaid), &change("1/1", 100)).await), "protocol");
    assert_eq!(name(&partner.cancel(&world.route, &asked(unpaid), "1/a").await), "protocol");
}

/// An authority of its own, a server and a client certificate by it.
fn certificates(folder: &Path) {
    let run = |args: &str| {
        let output = std::process::Command::new("openssl").args(args.split(' ')).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    std::fs::write(folder.join("ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    run(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=prova -days 30"));
    for name in ["server", "client"] {
        run(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        run(&format!("x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 30 -extfile ext"));
    }
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    std::fs::write(folder.join("identity.pem"), read("client.pem") + &read("client.key")).unwrap();
}

/// A PT behind a private authority that wants to know who calls: mTLS.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_and_a_client_certificate() {
    if !common::require("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    certificates(at);
    let port = common::free_port();
    let server =
        format!("s_server -accept 127.0.0.1:{port} -cert server.pem -key server.key -CAfile ca.pem -Verify 1 -verify_return_error -www");
    let mut server = std::process::Command::new("openssl")
        .args(server.split(' '))
        .current_dir(at)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let route: PaymentRoute = serde_json::from_value(json!({ "pt": "prova", "costs": "push" })).unwrap();
    let ask = async |more: &str| {
        let text = format!(
            "name = \"prova\"\nkind = \"gpd\"\nurl = \"https://localhost:{port}\"\napi_key = \"file:{}/ext\"\ntimeout_s = 10\n{more}",
            at.display()
        );
        let config: PtConfig = toml::from_str(&text).unwrap();
        let partner = Partner::new(PtSettings::read(&config, Clock::REAL, config.is_local()).unwrap()).unwrap();
        name(&partner.verify(&route, &asked(1)).await)
    };
    std::fs::write(at.join("ext"), "chiave").unwrap();
    let (ca, identity) = (format!("ca = \"{}/ca.pem\"\n", at.display()), format!("identity = \"file:{}/identity.pem\"\n", at.display()));
    let mut both = "temporary";
    for _ in 0..100 {
        // Its page is no answer of GPD: whoever reads it has been let in.
        both = ask(&format!("{ca}{identity}")).await;
        if both == "protocol" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(both, "protocol");
    assert_eq!(ask(&ca).await, "temporary", "nobody says who calls");
    assert_eq!(ask(&identity).await, "temporary", "the authority is not known");
    assert_eq!(ask(&format!("{ca}{identity}")).await, "protocol");
    server.kill().unwrap();
    server.wait().unwrap();
}
