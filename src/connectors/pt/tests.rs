//! Partners made from their block of the configuration.

use super::*;

/// A block as it stands in a file.
fn block(toml: &str) -> PtConfig {
    toml::from_str(toml).unwrap()
}

/// Made by `openssl`; `None` where it is missing.
fn certificate(folder: &std::path::Path) -> Option<()> {
    let run = |args: &[&str]| Some(std::process::Command::new("openssl").args(args).current_dir(folder).output().ok()?.status.success());
    let made = run(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "30",
        "-subj",
        "/CN=messo prova",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
    ])?;
    assert!(made);
    let both = std::fs::read_to_string(folder.join("cert.pem")).unwrap() + &std::fs::read_to_string(folder.join("key.pem")).unwrap();
    std::fs::write(folder.join("both.pem"), both).unwrap();
    Some(())
}

#[test]
fn settings_hold_the_secrets_and_never_print_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display().to_string();
    std::fs::write(folder.path().join("key"), "chiave-segreta\n").unwrap();
    let config = block(&format!("name = \"a\"\nkind = \"gpd\"\nurl = \"http://127.0.0.1:1\"\napi_key = \"file:{at}/key\"\ntimeout_s = 7"));
    let settings = PtSettings::read(&config, Clock::REAL, config.is_local()).unwrap();
    assert_eq!(settings.api_key.as_ref().map(Secret::expose), Some("chiave-segreta"));
    assert!(settings.password.is_none() && settings.client_secret.is_none());
    assert_eq!(settings.timeout(), Duration::from_secs(7));
    assert!(config.is_local());
    assert!(!block("name = \"a\"\nkind = \"gpd\"\nurl = \"https://api.platform.pagopa.it/gpd\"").is_local());
    assert!(!block("name = \"a\"\nkind = \"pu\"\nurl = \"http://[::1]:9\"\ntoken_url = \"https://auth.esempio.it\"").is_local());
}

#[test]
fn what_cannot_be_read_is_named_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display().to_string();
    std::fs::write(folder.path().join("nonsense"), "chiave-segreta").unwrap();
    let table = [
        ("password = \"file:{at}/none\"", "`password`: "),
        ("api_key = \"env:MESSO_NO_SUCH_VARIABLE\"", "`api_key`: environment variable"),
        ("client_secret = \"incollata\"", "`client_secret`: `***`"),
        ("identity = \"file:{at}/nonsense\"", "`identity`: certificate and key in PEM are wanted"),
        ("ca = \"{at}/nonsense\"", "`ca`: no certificate in it"),
        ("ca = \"{at}/none\"", "`ca`: entity not found"),
    ];
    for (line, want) in table {
        let config = block(&format!("name = \"a\"\nkind = \"mypay\"\nurl = \"http://127.0.0.1:1\"\n{}", line.replace("{at}", &at)));
        let error = PtSettings::read(&config, Clock::REAL, true).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with(want), "{line}: {error:?}");
        assert!(!error.contains("chiave-segreta") && !error.contains("incollata"), "{error}");
    }
}

#[test]
fn a_client_certificate_and_a_private_authority_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    if certificate(folder.path()).is_none() {
        assert!(std::env::var_os("MESSO_REQUIRE_ALL").is_none(), "openssl is missing");
        println!("skipped: openssl");
        return;
    }
    let at = folder.path().display().to_string();
    let config = block(&format!(
        "name = \"a\"\nkind = \"mypay\"\nurl = \"https://127.0.0.1:1\"\nidentity = \"file:{at}/both.pem\"\nca = \"{at}/cert.pem\""
    ));
    for loopback_only in [true, false] {
        let made = PtSettings::read(&config, Clock::REAL, loopback_only);
        assert!(made.is_ok(), "{loopback_only}: {:?}", made.err());
    }
}
