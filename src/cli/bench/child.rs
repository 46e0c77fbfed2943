//! The measured side: one job in a process of its own, so that what the bench itself did (making archives, waiting for
//! rivals) counts neither in its time nor in its memory. Answers one line of JSON.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use super::{bare, export, ingest, rules, scale, send, sftp, timers};

/// Un compito, come lo scrive il comando che misura.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    job: String,
}

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub enum Job {
    Ingest(ingest::Job),
    Rules(rules::Job),
    Send(send::Job),
    Bare(bare::Job),
    Ready(scale::Ready),
    Scale(scale::Job),
    Sftp(sftp::door::Job),
    FillExport(export::Fill),
    Export(export::Job),
    Timers(timers::Job),
}

/// Does it.
pub fn run(args: &Args) -> ExitCode {
    let job = match serde_json::from_str(&args.job) {
        Ok(job) => job,
        Err(error) => return failed(&error.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    let told = match job {
        Job::Rules(job) => rules::measured(&job).and_then(encode),
        Job::Ingest(job) => runtime.block_on(ingest::measured(&job)).and_then(encode),
        Job::Send(job) => runtime.block_on(send::measured(&job)).and_then(encode),
        Job::Bare(job) => runtime.block_on(bare::measured(&job)).and_then(encode),
        Job::Ready(job) => runtime.block_on(scale::ready(&job)).and_then(encode),
        Job::Scale(job) => runtime.block_on(scale::measured(&job)).and_then(encode),
        Job::FillExport(job) => runtime.block_on(export::fill(&job)).and_then(encode),
        Job::Export(job) => runtime.block_on(export::measured(&job)).and_then(encode),
        Job::Timers(job) => runtime.block_on(timers::measured(&job)).and_then(encode),
        Job::Sftp(job) => runtime.block_on(sftp::door::serve(&job)).and_then(encode),
    };
    match told {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn encode<T: Serialize>(told: T) -> Result<String, String> {
    serde_json::to_string(&told).map_err(|error| error.to_string())
}

fn failed(error: &str) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}
