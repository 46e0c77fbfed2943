//! What a person reads who asks each command for help, or mistypes one: Italian, frame included.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use common::messo as program;

/// Paths of all commands that help shows, the program itself first.
fn commands(command: &clap::Command, path: &[String], found: &mut Vec<Vec<String>>) {
    found.push(path.to_vec());
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        commands(sub, &[path, &[sub.get_name().to_owned()]].concat(), found);
    }
}

#[test]
fn the_help_of_every_command_is_italian() {
    let mut all = Vec::new();
    commands(&messo::cli::italian::command(), &[], &mut all);
    assert!(all.len() > 15, "{all:?}");
    for path in all {
        let words: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let output = program(&words).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{path:?}");
        assert!(text.contains(&format!("Uso: {}", [vec!["messo".to_owned()], path.clone()].concat().join(" "))), "{path:?}: {text}");
        assert!(text.contains("Opzioni:") && text.contains("Mostra questo aiuto"), "{path:?}: {text}");
        for english in ["Usage", "Options", "OPTIONS", "Commands", "COMMAND>", "Arguments", "Print ", "default", "possible values", "env:"]
        {
            assert!(!text.contains(english) || (english == "env:" && text.contains("env:NOME")), "{path:?}: `{english}` in {text}");
        }
    }
}

#[test]
fn a_wrong_command_line_is_told_in_italian_and_ends_with_two() {
    for words in [&["runn"][..], &["validate"], &["run", "--confg", "x"], &["batch", "list", "--limit", "x"], &["act", "show"]] {
        let output = program(words).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {text}");
        assert!(text.starts_with("errore: ") && text.contains("--help"), "{words:?}: {text}");
        assert!(!text.contains("error:") && !text.contains("Usage"), "{words:?}: {text}");
    }
    // Without a command: the help, as an error.
    let output = program::<&str>(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("Comandi:"));
}
