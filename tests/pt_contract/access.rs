//! Partners that want a token, a private authority or a client certificate.

use messo::connectors::Distrust;

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

/// A certificate of the same authority that ended years ago, and one of another name.
fn bad_certificates(folder: &Path) {
    certificates(folder);
    let run = |args: &str| {
        let output = std::process::Command::new("openssl").args(args.split(' ')).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let settings = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n";
    for (name, text) in [("ca.cnf", settings), ("index.txt", ""), ("serial", "01\n"), ("ext2", "subjectAltName=DNS:altrove.example\n")] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    run("ca -batch -notext -config ca.cnf -cert ca.pem -keyfile ca.key -in server.csr -out expired.pem -extfile ext \
         -startdate 20200101000000Z -enddate 20200201000000Z");
    run("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out elsewhere.pem -days 30 -extfile ext2");
}

/// A server certificate that is not believed is told as such, and no waiting is thought to mend it.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_expired_or_is_of_another_name() {
    if !common::require("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bad_certificates(at);
    let route: PaymentRoute = serde_json::from_value(json!({ "pt": "prova", "costs": "push" })).unwrap();
    std::fs::write(at.join("chiave"), "chiave").unwrap();
    for (certificate, ca, want) in [
        ("server", true, None),
        ("expired", true, Some("its certificate: expired")),
        ("elsewhere", true, Some("its certificate: of another name")),
        ("server", false, Some("its certificate: unknown issuer")),
    ] {
        let port = common::free_port();
        let arguments = format!("s_server -accept 127.0.0.1:{port} -cert {certificate}.pem -key server.key -www");
        let mut server = std::process::Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(at)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let ca = if ca { format!("ca = \"{}/ca.pem\"\n", at.display()) } else { String::new() };
        let url = format!("url = \"https://localhost:{port}\"\napi_key = \"file:{}/chiave\"", at.display());
        let config: PtConfig = toml::from_str(&format!("name = \"prova\"\nkind = \"gpd\"\n{url}\ntimeout_s = 10\n{ca}")).unwrap();
        let partner = Partner::new(PtSettings::read(&config, Clock::REAL, config.is_local()).unwrap()).unwrap();
        let mut answer = None;
        for _ in 0..600 {
            let error = partner.verify(&route, &asked(1)).await.unwrap_err();
            let refused = matches!(&error, ConnectorError::Temporary { what, .. } if what.starts_with("connect"));
            answer = Some(error);
            if !refused {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        server.kill().unwrap();
        server.wait().unwrap();
        let answer = answer.unwrap();
        match want {
            None => assert!(matches!(answer, ConnectorError::Protocol { .. }), "{certificate}: its page is no answer of GPD: {answer:?}"),
            Some(want) => {
                let ConnectorError::Temporary { what, .. } = &answer else { panic!("{certificate}: {answer:?}") };
                assert_eq!((what.as_str(), answer.certificate()), (want, Some(Distrust::Its)), "{certificate}");
            }
        }
    }
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
        let answer = partner.verify(&route, &asked(1)).await;
        (name(&answer), answer.err().and_then(|error| error.certificate()))
    };
    std::fs::write(at.join("ext"), "chiave").unwrap();
    let (ca, identity) = (format!("ca = \"{}/ca.pem\"\n", at.display()), format!("identity = \"file:{}/identity.pem\"\n", at.display()));
    let mut both = "temporary";
    for _ in 0..600 {
        // Its page is no answer of GPD: whoever reads it has been let in.
        both = ask(&format!("{ca}{identity}")).await.0;
        if both == "protocol" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(both, "protocol");
    assert_eq!(ask(&ca).await, ("temporary", Some(Distrust::Ours)), "nobody says who calls");
    assert_eq!(ask(&identity).await, ("temporary", Some(Distrust::Its)), "the authority is not known");
    assert_eq!(ask(&format!("{ca}{identity}")).await, ("protocol", None));
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(ask(&format!("{ca}{identity}")).await, ("temporary", None), "it is away");
}
