//! Recordings of WinSCP and FileZilla (`tests/sftp_engine/recordings.rs`) over SSH, with a real batch in them: it is taken, and
//! everything the client does afterwards succeeds.

use std::fs;

use crate::common::require;
use crate::house::House;
use crate::recordings;
use crate::sftp_client::{Reply, Script};

/// Sends all of it at once, as fast as the window takes it; one line for each answer after VERSION.
fn play(house: &House, script: &Script) -> Vec<String> {
    let mut client = house.idle_client();
    let answers = script.id as usize;
    client.say(&script.bytes);
    let mut hear = || {
        let packet = client.hear();
        Reply { kind: packet[0], id: u32::from_be_bytes(packet[1..5].try_into().unwrap()), body: packet[5..].to_vec() }.line()
    };
    assert_eq!(hear(), "version 3");
    (0..answers).map(|_| hear()).collect()
}

#[test]
fn winscp_and_filezilla_upload_overwrite_and_resume() {
    if !require("ssh") {
        return;
    }
    type Record = fn(&House, &[Vec<u8>]) -> Vec<String>;
    let table: [(&str, Record); 4] = [
        ("WinSCP overwrites what was cut off", |house, blocks| {
            let half = Script::init(3).open("/in/lotto.zip", 26, &[0; 4]).write(1, 0, &blocks[0]).close(1);
            play(house, &half);
            play(house, &recordings::winscp_overwrites(blocks))
        }),
        ("WinSCP resumes", |house, blocks| {
            let half = Script::init(3).open("/in/lotto.zip.filepart", 26, &[0; 4]).write(1, 0, &blocks[0]);
            play(house, &half);
            house.nobody_is_left();
            play(house, &recordings::winscp_resumes(blocks[0].len() as u64, &blocks[1..]))
        }),
        ("FileZilla uploads", |house, blocks| play(house, &recordings::filezilla_uploads(blocks))),
        ("FileZilla resumes", |house, blocks| {
            let half = Script::init(3).open("/in/lotto.zip", 26, &[0; 4]).write(1, 0, &blocks[0]);
            play(house, &half);
            house.nobody_is_left();
            play(house, &recordings::filezilla_resumes(blocks[0].len() as u64, &blocks[1..]))
        }),
    ];
    for (what, record) in table {
        let house = House::start("rekey_bytes = 1048576\n", "");
        let batch = house.batch();
        fs::write(house.local().join("lotto.zip"), &batch).unwrap();
        let blocks: Vec<Vec<u8>> = batch.chunks(300).map(<[u8]>::to_vec).collect();
        let lines = record(&house, &blocks);
        // End of a listing; the `.filepart` that WinSCP looks for is not there.
        let refused: Vec<_> =
            lines.iter().filter(|line| line.starts_with("status") && !["status 0", "status 1"].contains(&line.as_str())).collect();
        assert!(refused.len() <= 1 && refused.iter().all(|line| *line == "status 2 SFTP_NON_TROVATO"), "{what}: {lines:?}");
        crate::taken(&house, what, "lotto.zip");
    }
}
