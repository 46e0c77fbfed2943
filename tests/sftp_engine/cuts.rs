//! The same bytes, cut anywhere, are the same requests and the same answers.

use proptest::collection::vec;
use proptest::prelude::*;

use super::recordings;
use super::sftp_check::check;
use super::sftp_client::{CREATE, NO_ATTRS, READ, Script, Session, WRITE, string};
use super::sftp_home::MemoryHome;
use messo::intake::sftp::engine::Ended;
use messo::intake::sftp::protocol::kind;

#[derive(Debug, Clone)]
enum Step {
    Open(u8),
    Close(u32),
    Write(u32, u64, Vec<u8>),
    Read(u32, u64, u32),
    Stat(u8),
    List(u8),
    Page(u32),
    Rename(u8, u8),
    Extended(Vec<u8>),
    /// A body of any type.
    Any(u8, Vec<u8>),
    /// A packet that ends the session.
    End,
}

fn step() -> impl Strategy<Value = Step> {
    let nth = 0..6u32;
    prop_oneof![
        3 => (0..4u8).prop_map(Step::Open),
        2 => nth.clone().prop_map(Step::Close),
        8 => (nth.clone(), 0..5_000u64, vec(any::<u8>(), 0..700)).prop_map(|(nth, offset, data)| Step::Write(nth, offset, data)),
        5 => (nth.clone(), 0..5_000u64, 0..4_000u32).prop_map(|(nth, offset, length)| Step::Read(nth, offset, length)),
        2 => (0..4u8).prop_map(Step::Stat),
        1 => (0..4u8).prop_map(Step::List),
        2 => nth.prop_map(Step::Page),
        1 => (0..4u8, 0..4u8).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => vec(any::<u8>(), 0..40).prop_map(Step::Extended),
        2 => (2..=255u8, vec(any::<u8>(), 0..60)).prop_map(|(kind, body)| Step::Any(kind, body)),
        1 => prop::bool::weighted(0.02).prop_map(|end| if end { Step::End } else { Step::Stat(0) }),
    ]
}

fn path(name: u8) -> String {
    if name == 3 { "/in".to_owned() } else { format!("/in/{name}") }
}

fn script(steps: &[Step]) -> Script {
    steps.iter().fold(Script::init(3), |script, step| match step {
        Step::Open(name) => script.open(&path(*name), READ | WRITE | CREATE, &NO_ATTRS),
        Step::Close(nth) => script.close(*nth),
        Step::Write(nth, offset, data) => script.write(*nth, *offset, data),
        Step::Read(nth, offset, length) => script.read(*nth, *offset, *length),
        Step::Stat(name) => script.path(kind::STAT, &path(*name)),
        Step::List(name) => script.path(kind::OPENDIR, &path(*name)),
        Step::Page(nth) => script.on(kind::READDIR, *nth),
        Step::Rename(from, to) => script.request(kind::RENAME, &[&string(path(*from).as_bytes()), &string(path(*to).as_bytes())]),
        Step::Extended(name) => script.request(kind::EXTENDED, &[&string(name)]),
        Step::Any(kind, body) => script.request(*kind, &[body]),
        Step::End => script.raw(&[0, 0, 0, 0]),
    })
}

/// Requests given out, answers, what ended it, and what is on the home.
type Outcome = (Vec<String>, Vec<u8>, Option<Ended>, Vec<(String, Vec<u8>)>);

fn outcome<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let home = MemoryHome::new().with("/in/0", b"contenuto");
    let mut session = Session::new(&home);
    let mut ended = None;
    for piece in pieces {
        if let Err(why) = session.feed(piece) {
            ended = Some(why);
            break;
        }
    }
    let files = home.tree().files.iter().map(|(path, file)| (path.clone(), file.content.clone())).collect();
    (std::mem::take(&mut session.calls), std::mem::take(&mut session.output), ended, files)
}

fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn cuts_change_nothing(steps in vec(step(), 0..60), cuts in vec(any::<usize>(), 0..40)) {
        let ending = steps.iter().any(|step| matches!(step, Step::End));
        let bytes = script(&steps).bytes;
        let whole = outcome(std::iter::once(bytes.as_slice()));
        let pieces = outcome(cut(&bytes, &cuts).into_iter());
        let single = outcome(bytes.chunks(1));
        prop_assert_eq!(whole.2, pieces.2);
        prop_assert_eq!(whole.2, single.2);
        prop_assert_eq!(whole.2.is_some(), ending);
        // A session that ends leaves undone what was not run yet, and that depends on the cuts.
        if !ending {
            prop_assert_eq!(&whole, &pieces);
            prop_assert_eq!(&whole, &single);
        } else {
            prop_assert!(single.0.starts_with(&whole.0) && single.1.starts_with(&whole.1));
        }
    }

    /// What clients really send, with some bytes changed, taken away or added: whatever comes out of it, the rules of a session hold.
    #[test]
    fn damaged_recordings_keep_the_rules(
        which in any::<prop::sample::Index>(),
        how in any::<u8>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..12),
    ) {
        let recordings = recordings::all();
        let mut bytes = which.get(&recordings).1.bytes.clone();
        for (at, byte, what) in damage {
            let at = at.index(bytes.len());
            match what {
                0 => bytes[at] = byte,
                1 => drop(bytes.drain(at..bytes.len().min(at + usize::from(byte)))),
                _ => bytes.insert(at, byte),
            }
            if bytes.is_empty() {
                break;
            }
        }
        check(&[&[how & !3][..], &bytes].concat());
    }

    #[test]
    fn any_bytes_keep_the_rules(bytes in vec(any::<u8>(), 0..400)) {
        check(&bytes);
    }
}
