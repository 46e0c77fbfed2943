//! What a configuration that is read again changes, and what waits for a restart.

use super::*;

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

const START: &str = r#"
data = "/dati"
installation = "prova"
[salute]
listen = "127.0.0.1:9464"
[[ente]]
tax_id = "1"
denomination = "Uno"
ambiente = "collaudo"
send_url = "https://uno"
[[ente.key]]
id = "a"
secret = "env:A"
[[ente.key]]
id = "b"
secret = "env:B"
groups = ["g"]
[[ente]]
tax_id = "2"
denomination = "Due"
ambiente = "collaudo"
send_url = "https://due"
[[ente.key]]
id = "a"
secret = "env:A"
[[gestionale]]
name = "anagrafe"
root = "/srv/anagrafe"
enti = ["1"]
flows = ["anagrafe"]
[gestionale.sftp]
user = "anagrafe"
[[gestionale]]
name = "tributi"
root = "/srv/tributi"
enti = ["1", "2"]
flows = ["tributi"]
"#;

/// The file after the changes, and what of it waits.
fn after(changes: &[(&str, &str)]) -> (Config, Vec<String>) {
    let mut text = START.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let Merged { config: merged, waiting } = merge(&config(START), config(&text));
    (merged, waiting)
}

#[test]
fn an_unchanged_file_changes_nothing() {
    let (merged, waiting) = after(&[]);
    assert_eq!(format!("{merged:?}"), format!("{:?}", config(START)));
    assert!(waiting.is_empty(), "{waiting:?}");
}

#[test]
fn what_can_hold_at_once_does() {
    let (merged, waiting) = after(&[
        ("[salute]", "[alerts]\nsend_down_minutes = 3\n[limits]\nmax_acts = 7\n[salute]"),
        ("denomination = \"Uno\"", "denomination = \"Uno nuovo\"\nheavy_mail = true"),
        ("secret = \"env:A\"", "secret = \"env:C\""),
        (
            "[[gestionale]]",
            "[[ente]]\ntax_id = \"3\"\ndenomination = \"Tre\"\nambiente = \"collaudo\"\nsend_url = \"https://tre\"\n[[gestionale]]",
        ),
        ("enti = [\"1\"]", "enti = [\"1\", \"3\"]"),
        (
            "[[gestionale]]\nname = \"tributi\"",
            "[[gestionale]]\nname = \"scuola\"\nroot = \"/srv/scuola\"\nenti = [\"3\"]\nflows = [\"scuola\"]\n[[gestionale]]\nname = \"tributi\"",
        ),
    ]);
    assert!(waiting.is_empty(), "{waiting:?}");
    assert_eq!((merged.alerts.send_down_minutes, merged.limits.max_acts), (3, 7));
    let one = merged.institution("1").unwrap();
    assert_eq!((one.denomination.as_str(), one.heavy_mail, one.keys[0].secret.0.as_str()), ("Uno nuovo", true, "env:C"));
    assert!(merged.institution("3").is_some());
    assert_eq!(merged.source("anagrafe").unwrap().enti, ["1", "3"]);
    assert!(merged.source("scuola").is_some());
}

#[test]
fn what_only_a_restart_changes_stays_and_is_told() {
    type Changes<'a> = &'a [(&'a str, &'a str)];
    let table: [(&str, Changes<'_>, &str); 9] = [
        ("data", &[("\"/dati\"", "\"/altri\"")], "«data» è cambiato"),
        ("installation", &[("\"prova\"", "\"altra\"")], "«installation» è cambiato"),
        ("health page", &[(":9464", ":9465")], "«salute» è cambiato"),
        ("watch", &[("[salute]", "[watch]\nscan_ms = 99\n[salute]")], "«watch» è cambiato"),
        ("socket", &[("installation", "control = \"/s\"\ninstallation")], "«control» è cambiato"),
        ("moved ente", &[("https://due", "https://tre")], "l'ente 2 ha un altro ambiente"),
        ("renamed ente", &[("tax_id = \"2\"", "tax_id = \"3\""), ("[\"1\", \"2\"]", "[\"1\"]")], "l'ente 2 non è più"),
        ("moved gestionale", &[("/srv/anagrafe", "/srv/altrove")], "il gestionale anagrafe ha un'altra cartella"),
        ("removed key", &[("id = \"b\"", "id = \"c\"")], "la chiave 1/b non è più"),
    ];
    for (title, changes, want) in table {
        let (merged, waiting) = after(changes);
        assert!(waiting.len() == 1 && waiting[0].contains(want), "{title}: {waiting:?}");
        let was = config(START);
        assert_eq!((&merged.data, &merged.installation, &merged.health), (&was.data, &was.installation, &was.health), "{title}");
        assert_eq!((&merged.watch, merged.control.is_none()), (&was.watch, true), "{title}");
        assert_eq!(merged.institution("2").unwrap().send_url, "https://due", "{title}");
        assert_eq!(merged.source("anagrafe").unwrap().root, Path::new("/srv/anagrafe"), "{title}");
    }
    // Its account is closed at once: nothing may come in where it is not told to.
    let (merged, _) = after(&[("/srv/anagrafe", "/srv/altrove")]);
    assert!(merged.source("anagrafe").unwrap().sftp.is_none());
    assert!(after(&[]).0.source("anagrafe").unwrap().sftp.is_some());
}

#[test]
fn a_folder_that_is_still_watched_is_given_to_nobody_else() {
    for root in ["/srv/anagrafe", "/srv/anagrafe/dentro", "/srv"] {
        let new = format!("root = \"{root}\"");
        let changes = [("name = \"anagrafe\"", "name = \"demografici\""), ("root = \"/srv/anagrafe\"", new.as_str())];
        let (merged, waiting) = after(&changes);
        assert!(merged.source("demografici").is_none(), "{root}");
        let old = merged.source("anagrafe").unwrap();
        assert!(old.sftp.is_none() && old.root == Path::new("/srv/anagrafe"), "{root}");
        assert!(waiting.len() == 2 && waiting[1].contains("il gestionale nuovo demografici"), "{root}: {waiting:?}");
    }
}
