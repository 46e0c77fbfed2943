//! `messo man DIR`: the manual pages, one a command, for the packager. Hidden from the help. Exit 0 written, 1 not.
//!
//! The texts are those of the help; the frame of the pages, which clap writes in English, is put into Italian here.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;
use clap_mangen::Man;

use super::italian;

/// Scrive le pagine di manuale in una cartella.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// La cartella: è creata se manca.
    #[arg(value_name = "CARTELLA")]
    folder: PathBuf,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let mut command = italian::command();
    command.build();
    match std::fs::create_dir_all(&args.folder).and_then(|()| write(&command, "messo", &args.folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("messo: {}: {error}", args.folder.display());
            ExitCode::FAILURE
        }
    }
}

fn write(command: &Command, name: &str, folder: &Path) -> io::Result<()> {
    std::fs::write(folder.join(format!("{name}.1")), page(command, name)?)?;
    for sub in shown(command) {
        write(sub, &format!("{name}-{}", sub.get_name()), folder)?;
    }
    Ok(())
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set())
}

/// The headings that clap writes, and ours.
const HEADINGS: [(&str, &str); 3] = [("NAME", "NOME"), ("SYNOPSIS", "SINTASSI"), ("DESCRIPTION", "DESCRIZIONE")];

fn page(command: &Command, name: &str) -> io::Result<String> {
    let own = command.clone().display_name(name.to_owned());
    let man = Man::new(own).title(name.to_uppercase()).section("1").source(concat!("messo ", env!("CARGO_PKG_VERSION"))).manual("messo");
    let mut bytes = Vec::new();
    man.render_title(&mut bytes)?;
    man.render_name_section(&mut bytes)?;
    man.render_synopsis_section(&mut bytes)?;
    man.render_description_section(&mut bytes)?;
    man.render_options_section(&mut bytes)?;
    let mut text = String::from_utf8(bytes).map_err(io::Error::other)?;
    // Without a date the title would lose its place to what follows.
    text = text.replacen(" 1  \"", " 1 \"\" \"", 1);
    for (english, italian) in HEADINGS {
        text = text.replace(&format!(".SH {english}\n"), &format!(".SH {italian}\n"));
    }
    let subs: Vec<&Command> = shown(command).collect();
    if !subs.is_empty() {
        text.push_str(".SH COMANDI\n");
        for sub in subs {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!(".TP\n\\fB{}\\-{}\\fR(1)\n{}\n", escaped(name), escaped(sub.get_name()), escaped(&about)));
        }
    }
    if name == "messo" {
        text.push_str(MORE);
    } else {
        text.push_str(".SH VEDERE ANCHE\n\\fBmesso\\fR(1)\n");
    }
    Ok(text)
}

/// Text as roff wants it: nothing in it is a command.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

const MORE: &str = "\
.SH FILE
.TP
\\fI/etc/messo/messo.toml\\fR
La configurazione.
.TP
\\fI/etc/messo/credenziali\\fR
Un file per segreto: systemd li consegna al servizio.
.TP
\\fI/var/lib/messo\\fR
L'archivio e la base di dati.
.TP
\\fI/run/messo/messo.sock\\fR
I comandi al servizio acceso.
.SH AMBIENTE
.TP
\\fBMESSO_LOG\\fR
Quanto dice il registro, per esempio \\fBinfo,messo=debug\\fR.
.SH VEDERE ANCHE
I documenti in \\fI/usr/share/doc/messo\\fR.
";
