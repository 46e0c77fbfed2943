//! A client killed again and again in the middle of its upload.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{Cursor, Write};
use std::time::Duration;

use messo::domain::digest::Sha256;
use zip::write::SimpleFileOptions;

use crate::common::office::{Row, csv, pdf};
use crate::common::{require, wait_for};
use crate::house::{ENTE, House, bytes};

const SOON: Duration = Duration::from_secs(60);
const NAME: &str = "lotto-grande.zip";
const KILLS: u64 = 5;

/// A batch of four acts and 64 MiB, not compressed.
fn big_batch() -> Vec<u8> {
    let rows: Vec<Row> = (0..4).map(|number| Row::new(ENTE, &format!("GRANDE-{number}"))).collect();
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("lotto.csv", options).unwrap();
    archive.write_all(csv(&rows).as_bytes()).unwrap();
    let noise: String = bytes(16 << 20, 23).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    for number in 0..4 {
        archive.start_file(format!("GRANDE-{number}.pdf"), options).unwrap();
        archive.write_all(&pdf(&format!("{number} {noise}"))).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn an_upload_whose_client_is_killed_five_times_is_resumed_and_taken_once_whole() {
    if !require("sftp") {
        return;
    }
    let house = House::start("rekey_bytes = 4194304\n", "");
    let batch = big_batch();
    let size = batch.len() as u64;
    assert!(size > 64 << 20);
    fs::write(house.local().join(NAME), &batch).unwrap();
    let seed = RandomState::new().hash_one(0);
    println!("the moments come from {seed}");
    let staged = house.root().join(".messo/arrivo").join(NAME);
    let arrived = || staged.metadata().map_or(0, |meta| meta.len());
    let receipts = || fs::read_dir(house.root().join("ricevute")).map_or(0, Iterator::count);
    for kill in 0..KILLS {
        // Somewhere in each eighth, so that five of them always fall before the end; the client needs a second for an eighth.
        let moment = size / 8 * kill + (seed.rotate_left(12 * u32::try_from(kill).unwrap()) % (size / 8)).max(1);
        let verb = if kill == 0 { "put" } else { "reput" };
        let before = arrived();
        let mut upload = house.spawn_killable(&["-l", "60000", "-R", "64"], &format!("{verb} {NAME} in/{NAME}\n"));
        wait_for(&format!("{moment} bytes after {kill} kills"), SOON, || (arrived() >= moment.max(before + 1)).then_some(()));
        upload.kill();
        house.nobody_is_left();
        let left = arrived();
        assert!(left < size && left >= before, "kill {kill}: {left} of {size}, before {before}");
        assert!(fs::read(&staged).unwrap() == batch[..usize::try_from(left).unwrap()], "kill {kill}: what is kept has no hole");
        assert_eq!(receipts(), 0, "kill {kill}: half a batch was taken");
    }
    let ran = house.sftp(&[], &format!("ls -l in/{NAME}\nreput {NAME} in/{NAME}\n"));
    assert!(ran.ok, "{}", ran.text);
    let receipt = house.office().receipt("polizia", NAME);
    assert_eq!((receipt.state.as_str(), receipt.codes.len()), ("PRESA_IN_CARICO", 0), "{}", receipt.xml);
    let digest = Sha256::of(&batch).to_hex();
    let audit = house.office().ask(&["audit"]);
    let uploads: Vec<_> = audit["events"].as_array().unwrap().iter().filter(|event| event["act"] == "CARICAMENTO").collect();
    let whole: Vec<_> = uploads.iter().filter(|event| event["outcome"] == "OK").collect();
    assert_eq!((whole.len(), whole[0]["sha256"].as_str()), (1, Some(digest.as_str())), "{audit}");
    assert_eq!(receipts(), 1 + usize::from(receipt.path.with_extension("txt").exists()), "once");
    house.nobody_is_left();
}
