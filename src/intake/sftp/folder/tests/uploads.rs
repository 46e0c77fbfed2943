//! What clients do with a drop: put, resume, rename, look after it, change their mind, send it again.

use super::*;
use crate::domain::digest::Sha256;
use crate::intake::arrivals::Arrived;
use crate::intake::sftp::folder::inbox::Outcome;
use crate::intake::sftp::folder::path::Rel;
use crate::intake::sftp::folder::upload::Upload;

fn arrived(house: &House, file: &str) -> Option<Arrived> {
    house.arrivals.get(Path::new(file))
}

#[test]
fn a_file_enters_when_it_is_closed_and_not_before() {
    let house = House::new();
    let home = house.home();
    let mut file = open(&home, "/in/lotto.zip", WRITE).unwrap();
    file.write_at(&[(0, b"primo "), (6, b"secondo")]).unwrap();
    assert!(house.tree("in").keys().eq(["prova/"]), "nothing in in/ yet");
    assert_eq!(list(&home, "in").unwrap(), [("lotto.zip".to_owned(), 13), ("prova".to_owned(), 0)]);
    assert_eq!((size(&home, "in/lotto.zip"), file.stat().unwrap().size), (Ok(13), Some(13)));
    assert_eq!(get(&home, "in/lotto.zip").unwrap(), b"primo secondo", "read back while it is written");
    file.finish(Ending::Closed).unwrap();
    assert_eq!(house.tree("in")["lotto.zip"], b"primo secondo");
    assert!(house.tree(".messo/arrivo").is_empty());
    let sha = Sha256::of(b"primo secondo");
    let told = arrived(&house, "lotto.zip").unwrap();
    assert_eq!((told.size, told.sha256), (13, Some(sha)));
    let seen = house.seen.take();
    assert_eq!(seen, ["downloaded /in/lotto.zip 13/13".to_owned(), format!("uploaded /in/lotto.zip 13 {}", &sha.to_hex()[..8])]);
    assert_eq!(list(&home, "in").unwrap().len(), 2, "shown once");
    // Empty files and files of a flow.
    put(&home, "in/vuoto.zip", b"").unwrap();
    home.make_folder(b"in/cds").unwrap();
    put(&home, "in/CDS/lotto.zip", b"cds").unwrap();
    put(&home, "in/Prova/lotto.zip", b"prova").unwrap();
    let tree = house.tree("in");
    let tree: Vec<_> = tree.iter().map(|(name, bytes)| (name.as_str(), bytes.len())).collect();
    assert_eq!(tree, [("cds/", 0), ("cds/lotto.zip", 3), ("lotto.zip", 13), ("prova/", 0), ("prova/lotto.zip", 5), ("vuoto.zip", 0)]);
    assert_eq!(names(&home, "in/CDS"), ["lotto.zip"]);
    assert_eq!(put(&home, "in/tari/lotto.zip", b"x"), Err(Refused::NoFolder), "a folder that is not there");
    assert_eq!(put(&home, "lotto.zip", b"x"), Err(Refused::Outside));
    assert_eq!(put(&home, "in", b"x"), Err(Refused::IsAFolder));
    assert_eq!(put(&home, "in/cds", b"x"), Err(Refused::IsAFolder));
}

#[test]
fn writes_in_any_order_are_whole_when_nothing_is_missing() {
    let bytes: Vec<u8> = (0..1_000_000u32).flat_map(|number| number.to_le_bytes()).collect();
    for (title, step) in [("in order", 1), ("backwards", 63), ("scattered", 37)] {
        let house = House::new();
        let mut file = open(&house.home(), "in/lotto.zip", WRITE).unwrap();
        let chunks: Vec<(u64, &[u8])> = bytes.chunks(62_500).enumerate().map(|(at, chunk)| (at as u64 * 62_500, chunk)).collect();
        for at in 0..64 {
            file.write_at(&[chunks[(at * step) % 64]]).unwrap();
        }
        file.finish(Ending::Closed).unwrap();
        assert!(house.tree("in")["lotto.zip"] == bytes, "{title}");
        assert_eq!(arrived(&house, "lotto.zip").and_then(|told| told.sha256), Some(Sha256::of(&bytes)), "{title}");
        assert!(house.tree(".messo/lacune").is_empty(), "{title}");
    }
    // Written twice, all pieces in one call, and some of them touching.
    let house = House::new();
    let mut file = open(&house.home(), "in/lotto.zip", WRITE).unwrap();
    let mut pieces: Vec<(u64, &[u8])> = bytes.chunks(10_000).enumerate().map(|(at, chunk)| (at as u64 * 10_000, chunk)).collect();
    pieces.swap(3, 90);
    pieces.push((5_000, &bytes[5_000..25_000]));
    file.write_at(&pieces).unwrap();
    file.finish(Ending::Closed).unwrap();
    assert!(house.tree("in")["lotto.zip"] == bytes);
    assert_eq!(arrived(&house, "lotto.zip").and_then(|told| told.sha256), Some(Sha256::of(&bytes)));
}

/// (writes, size told, how it ends, what is left, whole)
#[test]
fn a_hole_or_a_lost_connection_leaves_a_partial_upload_up_to_the_hole() {
    type Case<'c> = (&'c str, &'c [(u64, &'c [u8])], Option<u64>, Ending, Option<&'c str>, bool);
    let table: [Case<'_>; 9] = [
        ("whole", &[(0, b"abc")], None, Ending::Closed, Some("abc"), true),
        ("hole in the middle", &[(0, b"abc"), (6, b"ghi")], None, Ending::Closed, Some("abc"), false),
        ("hole at the beginning", &[(3, b"def")], None, Ending::Closed, None, false),
        ("hole at the end: the size was told", &[(0, b"abc")], Some(9), Ending::Closed, Some("abc"), false),
        ("hole closed later", &[(0, b"abc"), (6, b"ghi"), (3, b"def")], None, Ending::Closed, Some("abcdefghi"), true),
        ("lost", &[(0, b"abc")], None, Ending::Dropped, Some("abc"), false),
        ("lost with a hole", &[(0, b"abc"), (6, b"ghi")], None, Ending::Dropped, Some("abc"), false),
        ("lost before anything", &[], None, Ending::Dropped, None, false),
        ("size told first", &[(0, b"abc"), (3, b"def")], Some(6), Ending::Closed, Some("abcdef"), true),
    ];
    for (title, writes, told, ending, left, whole) in table {
        let mut house = House::new();
        let home = house.home();
        let mut file = open(&home, "in/lotto.csv", WRITE).unwrap();
        if let Some(size) = told {
            file.set_attributes(&Attributes { size: Some(size), ..Attributes::default() }).unwrap();
        }
        for piece in writes {
            file.write_at(&[*piece]).unwrap();
        }
        let want = if whole || ending == Ending::Dropped { Ok(()) } else { Err(Refused::Incomplete) };
        assert_eq!(file.finish(ending), want, "{title}");
        let sent = !writes.is_empty() || told.is_some();
        let kept = left.map_or(0, str::len);
        let seen = if whole { "uploaded" } else { "interrupted" };
        let seen = house.seen.take().into_iter().filter(|line| line.starts_with(&format!("{seen} /in/lotto.csv {kept}"))).count();
        assert_eq!(seen, usize::from(sent), "{title}: in the books");
        let of = |top: &str| house.tree(top).remove("lotto.csv").map(|bytes| String::from_utf8(bytes).unwrap());
        let (real, staged) = (of("in"), of(".messo/arrivo"));
        let want = left.map(str::to_owned);
        assert_eq!((real, staged), if whole { (want, None) } else { (None, want) }, "{title}");
        assert_eq!(arrived(&house, "lotto.csv").is_some(), whole, "{title}: told to the watcher");
        assert_eq!(size(&home, "in/lotto.csv").ok(), left.map(|left| left.len() as u64), "{title}");
        assert!(house.tree(".messo/lacune").is_empty(), "{title}: no sidecar stays");
        house.again();
        assert_eq!(size(&house.home(), "in/lotto.csv").ok(), left.map(|left| left.len() as u64), "{title}: after a restart");
        assert_eq!(house.shared.usage().bytes, left.map_or(0, |left| left.len() as u64), "{title}");
    }
}

/// (flags, first write, what it and CLOSE are answered, what is in `in/` then)
#[test]
fn the_rest_of_a_file_that_was_taken_is_refused_at_once() {
    let create = OpenFlags { create: true, ..RESUME };
    let append = OpenFlags { append: true, ..create };
    type Case<'c> = (&'c str, OpenFlags, Option<(u64, &'c [u8])>, Result<(), Refused>, Option<&'c [u8]>);
    let table: [Case<'_>; 6] = [
        ("goes on", create, Some((6, b"secondo")), Err(Refused::Incomplete), None),
        ("goes on, with append", append, Some((6, b"secondo")), Err(Refused::Incomplete), None),
        ("appends where the server says", append, Some((0, b"secondo")), Err(Refused::Incomplete), None),
        ("sends it again", create, Some((0, b"secondo")), Ok(()), Some(b"secondo")),
        ("sends it anew", WRITE, Some((0, b"secondo")), Ok(()), Some(b"secondo")),
        ("finds nothing missing", append, None, Ok(()), None),
    ];
    for (title, flags, write, want, left) in table {
        let house = House::new();
        let home = house.home();
        put(&home, "in/lotto.csv", b"primo ").unwrap();
        let work = house.claim("lotto.csv");
        house.seen.take();
        let mut file = open(&home, "in/lotto.csv", flags).unwrap();
        if let Some(piece) = write {
            assert_eq!(file.write_at(&[piece]).map_err(|(_, why)| why), want, "{title}");
        }
        assert_eq!(file.finish(Ending::Closed), want, "{title}");
        assert_eq!(house.tree("in").get("lotto.csv").map(Vec::as_slice), left, "{title}");
        assert!(house.tree(".messo/arrivo").is_empty(), "{title}");
        let shown = left.map(|left| left.len() as u64).or(write.is_none().then_some(6));
        assert_eq!(size(&home, "in/lotto.csv").ok(), shown, "{title}: what is seen is what there is to go on with");
        let interrupted = house.seen.take().contains(&"interrupted /in/lotto.csv 0".to_owned());
        assert_eq!(interrupted, want.is_err(), "{title}: in the books");
        assert_eq!(std::fs::read(work).unwrap(), b"primo ", "{title}");
    }
}

#[test]
fn a_partial_upload_is_resumed_as_every_client_does_it() {
    for (title, flags) in [
        ("WinSCP, FileZilla: write alone", RESUME),
        ("OpenSSH reput: append with offsets", OpenFlags { append: true, create: true, ..RESUME }),
        ("lftp: create without truncate", OpenFlags { create: true, ..RESUME }),
        ("sshfs: read and write", OpenFlags { read: true, ..RESUME }),
    ] {
        let mut house = House::new();
        let mut file = open(&house.home(), "in/lotto.zip", WRITE).unwrap();
        file.write_at(&[(0, b"primo ")]).unwrap();
        drop(file);
        assert_eq!(house.seen.take(), ["interrupted /in/lotto.zip 6"], "{title}");
        house.again();
        let home = house.home();
        assert_eq!(size(&home, "in/lotto.zip"), Ok(6), "{title}");
        let mut file = open(&home, "in/lotto.zip", flags).unwrap();
        file.write_at(&[(6, b"secondo")]).unwrap();
        file.finish(Ending::Closed).unwrap();
        assert_eq!(house.tree("in")["lotto.zip"], b"primo secondo", "{title}");
        assert_eq!(arrived(&house, "lotto.zip").and_then(|told| told.sha256), Some(Sha256::of(b"primo secondo")), "{title}");
    }
    let house = House::new();
    assert_eq!(open(&house.home(), "in/lotto.zip", RESUME).err(), Some(Refused::NotFound));
}

#[test]
fn a_whole_file_that_is_opened_again_is_no_more_to_be_taken() {
    let house = House::new();
    let home = house.home();
    put(&home, "in/lotto.zip", b"primo ").unwrap();
    let mut file = open(&home, "in/lotto.zip", RESUME).unwrap();
    assert!(arrived(&house, "lotto.zip").is_none() && !house.path("in/lotto.zip").exists());
    file.write_at(&[(6, b"secondo")]).unwrap();
    file.finish(Ending::Closed).unwrap();
    assert_eq!(house.tree("in")["lotto.zip"], b"primo secondo");
    // Overwritten from the beginning; the connection is lost.
    let mut file = open(&home, "in/lotto.zip", WRITE).unwrap();
    assert!(!house.path("in/lotto.zip").exists());
    file.write_at(&[(0, b"ter")]).unwrap();
    drop(file);
    assert_eq!((house.tree("in").len(), house.tree(".messo/arrivo")["lotto.zip"].as_slice()), (1, b"ter".as_slice()));
    assert_eq!(open(&home, "in/lotto.zip", OpenFlags { exclusive: true, ..WRITE }).err(), Some(Refused::AlreadyExists));
    put(&home, "in/lotto.zip", b"terzo").unwrap();
    assert_eq!(house.tree("in")["lotto.zip"], b"terzo");
    assert_eq!(open(&home, "in/lotto.zip", OpenFlags { exclusive: true, ..WRITE }).err(), Some(Refused::AlreadyExists));
    assert!(arrived(&house, "lotto.zip").is_some(), "a refused opening changes nothing");
    // Shorter by path: to be judged again; longer: a hole at the end.
    let resize = |size| home.set_attributes(b"in/lotto.zip", &Attributes { size: Some(size), ..Attributes::default() });
    resize(5).unwrap();
    assert!(arrived(&house, "lotto.zip").is_some(), "the same size is no change");
    resize(3).unwrap();
    assert_eq!(arrived(&house, "lotto.zip").and_then(|told| told.sha256), Some(Sha256::of(b"ter")));
    resize(9).unwrap();
    assert!(arrived(&house, "lotto.zip").is_none() && house.tree(".messo/arrivo")["lotto.zip"] == b"ter");
}

#[test]
fn times_and_modes_are_taken_whenever_they_come_and_wake_nobody() {
    let mtime = |house: &House, path: &str| {
        std::fs::metadata(house.path(path)).unwrap().modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
    };
    let times = Attributes {
        owner: Some((1000, 1000)),
        mode: Some(0o100_777),
        times: Some((1_000_000_001, 1_000_000_000)),
        ..Attributes::default()
    };
    for when in ["at open", "by handle before", "by path before", "by handle after", "by path after", "by path after close"] {
        let house = House::new();
        let home = house.home();
        let at_open = if when == "at open" { times.clone() } else { Attributes::default() };
        let mut file = home.open(b"in/lotto.zip", WRITE, &at_open).unwrap();
        if when == "by handle before" {
            file.set_attributes(&times).unwrap();
        }
        if when == "by path before" {
            home.set_attributes(b"in/lotto.zip", &times).unwrap();
        }
        file.write_at(&[(0, b"abc")]).unwrap();
        if when == "by handle after" {
            file.set_attributes(&times).unwrap();
        }
        if when == "by path after" {
            home.set_attributes(b"in/lotto.zip", &times).unwrap();
        }
        file.finish(Ending::Closed).unwrap();
        let ready = house.arrivals.ready(crate::clock::monotonic());
        if when == "by path after close" {
            home.set_attributes(b"in/lotto.zip", &times).unwrap();
        }
        assert_eq!(mtime(&house, "in/lotto.zip"), 1_000_000_000, "{when}");
        assert_eq!(home.stat(b"in/lotto.zip").unwrap().times.map(|times| times.1), Some(1_000_000_000), "{when}");
        assert_eq!(arrived(&house, "lotto.zip").map(|told| told.mtime), Some(1_000_000_000_000_000_000), "{when}");
        assert_eq!(house.arrivals.ready(crate::clock::monotonic()).len(), ready.len(), "{when}: still to be taken");
        assert_eq!(home.stat(b"in/lotto.zip").unwrap().mode, Some(0o100_640), "{when}: modes change nothing");
        // Taken: times are accepted and shown, nothing else happens.
        let work = house.claim("lotto.zip");
        home.set_attributes(b"in/lotto.zip", &Attributes { times: Some((5, 5)), ..times.clone() }).unwrap();
        assert_eq!(home.stat(b"in/lotto.zip").unwrap().times, Some((5, 5)), "{when}");
        assert_eq!(std::fs::read(work).unwrap(), b"abc");
    }
}

#[test]
fn what_the_hub_took_is_shown_for_a_while_and_its_bytes_are_never_touched() {
    let house = House::new();
    let home = house.home();
    for name in ["a.zip", "b.zip", "c.zip", "d.zip", "e.zip"] {
        put(&home, &format!("in/{name}"), b"primo").unwrap();
    }
    let work: Vec<PathBuf> = ["a.zip", "b.zip", "c.zip", "d.zip", "e.zip"].map(|name| house.claim(name)).into();
    assert_eq!(house.tree("in").len(), 1);
    assert_eq!(names(&home, "in"), ["a.zip", "b.zip", "c.zip", "d.zip", "e.zip", "prova"]);
    assert_eq!((size(&home, "in/a.zip"), size(&house.home(), "in/a.zip")), (Ok(5), Ok(5)), "other sessions see it too");
    // Whatever the client does with it is well done.
    home.remove(b"in/a.zip").unwrap();
    assert_eq!(size(&home, "in/a.zip"), Err(Refused::NotFound));
    home.rename(b"in/b.zip", b"in/b.zip.inviato", false).unwrap();
    assert_eq!((size(&home, "in/b.zip"), size(&home, "in/b.zip.inviato")), (Err(Refused::NotFound), Ok(5)));
    home.set_attributes(b"in/c.zip", &Attributes { size: Some(5), mode: Some(0o100_600), ..Attributes::default() }).unwrap();
    assert_eq!(home.set_attributes(b"in/c.zip", &Attributes { size: Some(2), ..Attributes::default() }), Err(Refused::NotFound));
    assert_eq!(open(&home, "in/c.zip", RESUME).err(), Some(Refused::NotFound), "nothing to go on with");
    assert_eq!(get(&home, "in/c.zip"), Err(Refused::NotFound));
    // The same name again, by every way.
    put(&home, "in/c.zip", b"secondo").unwrap();
    put(&home, "in/D.ZIP", b"secondo").unwrap();
    put(&home, "in/e.zip.filepart", b"secondo").unwrap();
    home.rename(b"in/e.zip.filepart", b"in/e.zip", false).unwrap();
    assert_eq!((size(&home, "in/c.zip"), size(&home, "in/e.zip")), (Ok(7), Ok(7)));
    assert!(open(&home, "in/a.zip", OpenFlags { exclusive: true, ..WRITE }).is_ok());
    for path in &work {
        assert_eq!(std::fs::read(path).unwrap(), b"primo");
    }
    let again = house.claim("c.zip");
    assert_eq!(std::fs::read(again).unwrap(), b"secondo");
    // A while later.
    let house = House::with(|settings| settings.grace = Duration::from_secs(1));
    put(&house.home(), "in/a.zip", b"primo").unwrap();
    house.claim("a.zip");
    assert_eq!(size(&house.home(), "in/a.zip"), Ok(5));
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!((size(&house.home(), "in/a.zip"), names(&house.home(), "in")), (Err(Refused::NotFound), vec!["prova".to_owned()]));
}

#[test]
fn temporary_names_are_whole_but_wait_for_their_rename() {
    let mut house = House::new();
    let home = house.home();
    for (temporary, name) in
        [("a.zip.filepart", "a.zip"), (".in.b.zip.", "b.zip"), ("c.zip.x1y2.partial", "c.zip"), (".d.zip.Qw3rTy", "d.zip")]
    {
        put(&home, &format!("in/{temporary}"), b"intero").unwrap();
        assert!(arrived(&house, temporary).is_none(), "{temporary}");
        home.rename(format!("in/{temporary}").as_bytes(), format!("in/{name}").as_bytes(), false).unwrap();
        let told = arrived(&house, name).unwrap();
        assert_eq!((told.size, told.sha256), (6, Some(Sha256::of(b"intero"))), "{name}: known without reading it again");
        assert_eq!(size(&home, &format!("in/{temporary}")), Err(Refused::NotFound));
    }
    // An upload that was not ended stays unended under any name.
    let mut file = open(&home, "in/e.csv.filepart", WRITE).unwrap();
    file.write_at(&[(0, b"mezzo")]).unwrap();
    assert_eq!(home.rename(b"in/e.csv.filepart", b"in/e.csv", false), Err(Refused::Busy), "while it is written");
    drop(file);
    home.rename(b"in/e.csv.filepart", b"in/e.csv", false).unwrap();
    assert!(!house.path("in/e.csv").exists() && arrived(&house, "e.csv").is_none());
    house.again();
    let home = house.home();
    let mut file = open(&home, "in/e.csv", RESUME).unwrap();
    file.write_at(&[(5, b" intero")]).unwrap();
    file.finish(Ending::Closed).unwrap();
    assert_eq!(house.tree("in")["e.csv"], b"mezzo intero");
    // Left whole under a temporary name over a restart: then it is renamed.
    put(&home, "in/f.zip.filepart", b"intero").unwrap();
    house.again();
    house.home().rename(b"in/f.zip.filepart", b"in/f.zip", false).unwrap();
    assert_eq!(house.tree("in")["f.zip"], b"intero");
}

#[test]
fn rename_replaces_only_when_it_is_told_to() {
    for (from, to) in
        [("whole", "whole"), ("partial", "whole"), ("whole", "partial"), ("partial", "partial"), ("taken", "whole"), ("taken", "partial")]
    {
        let house = House::new();
        let home = house.home();
        for (name, kind, bytes) in [("in/a.zip", from, b"nuovo".as_slice()), ("in/b.zip", to, b"vecchio")] {
            let mut file = open(&home, name, WRITE).unwrap();
            file.write_at(&[(0, bytes)]).unwrap();
            file.finish(if kind == "partial" { Ending::Dropped } else { Ending::Closed }).unwrap();
        }
        if from == "taken" {
            house.claim("a.zip");
        }
        assert_eq!(home.rename(b"in/a.zip", b"in/b.zip", false), Err(Refused::AlreadyExists), "{from} over {to}");
        assert_eq!(size(&home, "in/b.zip"), Ok(7));
        home.rename(b"in/a.zip", b"in/b.zip", true).unwrap();
        assert_eq!((size(&home, "in/a.zip"), size(&home, "in/b.zip")), (Err(Refused::NotFound), Ok(5)), "{from} over {to}");
        let where_is = |top: &str| house.tree(top).get("b.zip").map(|bytes| String::from_utf8(bytes.clone()).unwrap());
        let want = match from {
            "whole" => (Some("nuovo".to_owned()), None),
            "partial" => (None, Some("nuovo".to_owned())),
            _ => (None, None),
        };
        assert_eq!((where_is("in"), where_is(".messo/arrivo")), want, "{from} over {to}");
        assert_eq!(arrived(&house, "b.zip").is_some(), from == "whole", "{from} over {to}");
        if from != "taken" {
            assert_eq!(house.shared.usage(), Usage { bytes: 5, files: 1 }, "{from} over {to}");
        }
    }
    let house = House::new();
    let home = house.home();
    put(&home, "in/a.zip", b"x").unwrap();
    let table: [(&[u8], &[u8], Refused); 8] = [
        (b"in/a.zip", b"a.zip", Refused::Outside),
        (b"in/a.zip", b"/", Refused::ReadOnly),
        (b"in/a.zip", b"esiti/a.zip", Refused::ReadOnly),
        (b"in/a.zip", b"in/prova", Refused::AlreadyExists),
        (b"in/a.zip", b"in/tari/a.zip", Refused::NoFolder),
        (b"in/prova", b"in/vera", Refused::NotAllowed),
        (b"in/b.zip", b"in/c.zip", Refused::NotFound),
        (b"in/a.zip", b"in/nul.zip", Refused::NameRefused),
    ];
    for (from, to, want) in table {
        assert_eq!(home.rename(from, to, true), Err(want), "{} {}", String::from_utf8_lossy(from), String::from_utf8_lossy(to));
        assert!(house.path("in/a.zip").exists());
    }
    home.rename(b"in/a.zip", b"in/prova/a.zip", false).unwrap();
    home.rename(b"in/prova/a.zip", b"in/prova/A.zip", false).unwrap();
    assert!(house.path("in/prova/A.zip").exists() && arrived(&house, "prova/A.zip").is_some(), "letter case alone may change");
}

#[test]
fn names_that_windows_takes_for_one_are_refused_while_the_first_waits() {
    let mut house = House::new();
    let home = house.home();
    put(&home, "in/lotto.zip", b"x").unwrap();
    put(&home, "in/città.zip", b"x").unwrap();
    let mut partial = open(&home, "in/mezzo.zip", WRITE).unwrap();
    partial.write_at(&[(0, b"mezzo")]).unwrap();
    let refused = |house: &House| {
        let home = house.home();
        for name in ["in/LOTTO.zip", "in/Lotto.Zip", "in/CITTA\u{300}.ZIP", "in/MEZZO.zip"] {
            assert_eq!(put(&home, name, b"y"), Err(Refused::NameCollides), "{name}");
            put(&home, "in/altro.zip", b"y").unwrap();
            assert_eq!(home.rename(b"in/altro.zip", name.as_bytes(), true), Err(Refused::NameCollides), "{name}");
        }
        assert_eq!(home.make_folder(b"in/Lotto.ZIP"), Err(Refused::NameCollides));
        assert_eq!(home.make_folder(b"in/PROVA"), Err(Refused::AlreadyExists));
    };
    refused(&house);
    drop(partial);
    refused(&house);
    house.again();
    refused(&house);
    // Composed or not, and in the character set of an old program, it is the same name.
    let home = house.home();
    put(&home, "in/citta\u{300}.zip", b"secondo").unwrap();
    assert_eq!((size(&home, "in/città.zip"), home.stat(b"in/citt\xe0.zip").unwrap().size), (Ok(7), Some(7)));
    home.remove(b"in/citt\xe0.zip").unwrap();
    // What a Mac put on the share is found under both spellings.
    std::fs::write(house.path("in/perche\u{301}.zip"), b"share").unwrap();
    assert_eq!((size(&home, "in/perché.zip"), size(&home, "in/perche\u{301}.zip")), (Ok(5), Ok(5)));
    // The first is gone: the name is free.
    home.remove(b"in/lotto.zip").unwrap();
    put(&home, "in/LOTTO.zip", b"y").unwrap();
    house.claim("LOTTO.zip");
    put(&home, "in/lotto.zip", b"y").unwrap();
    for name in ["in/con.zip", "in/lotto.", "in/a\\b.zip", "in/a\tb.zip", "in/spazio "] {
        assert_eq!(put(&home, name, b"y"), Err(Refused::NameRefused), "{name}");
    }
    assert_eq!(put(&home, &format!("in/{}", "è".repeat(128)), b"y"), Err(Refused::NameRefused));
    put(&home, &format!("in/{}", "a".repeat(255)), b"y").unwrap();
}

#[test]
fn a_name_is_kept_for_as_long_as_its_file_waits() {
    let house = House::with(|settings| settings.grace = Duration::ZERO);
    let home = house.home();
    put(&home, "in/lotto.zip", b"x").unwrap();
    house.shared.tidy(crate::clock::Clock::REAL.now()).unwrap();
    assert_eq!(put(&home, "in/LOTTO.zip", b"y"), Err(Refused::NameCollides), "long after it was put");
    house.claim("lotto.zip");
    put(&home, "in/LOTTO.zip", b"y").unwrap();
    assert_eq!(put(&home, "in/lotto.zip", b"y"), Err(Refused::NameCollides));
}

#[test]
fn what_is_renamed_over_another_spelling_of_its_name_replaces_it() {
    let house = House::new();
    let home = house.home();
    std::fs::write(house.path("in/citta\u{300}.zip"), b"vecchio").unwrap();
    put(&home, "in/a.zip", b"nuovo").unwrap();
    assert_eq!(home.rename(b"in/a.zip", "in/città.zip".as_bytes(), false), Err(Refused::AlreadyExists));
    home.rename(b"in/a.zip", "in/città.zip".as_bytes(), true).unwrap();
    let tree = house.tree("in");
    assert_eq!(tree.iter().filter(|(name, _)| name.ends_with(".zip")).collect::<Vec<_>>(), [(&"città.zip".to_owned(), &b"nuovo".to_vec())]);
}

#[test]
fn a_whole_file_that_was_only_opened_stays_whole() {
    type Act = fn(&mut Box<dyn OpenFile>);
    let nothing: Act = |_| {};
    let empty: Act = |file| file.write_at(&[(0, b"")]).unwrap();
    let write: Act = |file| file.write_at(&[(0, b"L")]).unwrap();
    let resize: Act = |file| file.set_attributes(&Attributes { size: Some(5), ..Attributes::default() }).unwrap();
    for (title, act, whole) in [("nothing", nothing, true), ("empty", empty, true), ("a byte", write, false), ("a size", resize, false)] {
        let house = House::new();
        let home = house.home();
        put(&home, "in/lotto.zip", b"lotto").unwrap();
        let mut file = open(&home, "in/lotto.zip", RESUME).unwrap();
        act(&mut file);
        drop(file);
        assert_eq!(house.path("in/lotto.zip").exists(), whole, "{title}");
        assert_eq!(arrived(&house, "lotto.zip").is_some(), whole, "{title}");
        // What was not whole does not become so.
        let mut file = open(&home, "in/mezzo.zip", WRITE).unwrap();
        file.write_at(&[(0, b"mezzo")]).unwrap();
        drop(file);
        drop(open(&home, "in/mezzo.zip", RESUME).unwrap());
        assert!(!house.path("in/mezzo.zip").exists(), "{title}");
    }
}

#[test]
fn an_upload_that_was_not_taken_is_in_the_books() {
    // Somebody puts a file of that name on the share meanwhile: CLOSE fails.
    let house = House::with(|settings| settings.takeover = Duration::ZERO);
    let (one, two) = (house.home(), house.home());
    let mut file = open(&one, "in/lotto.zip", WRITE).unwrap();
    file.write_at(&[(0, b"primo")]).unwrap();
    std::fs::write(house.path("in/lotto.zip"), "altro").unwrap();
    assert_eq!(file.finish(Ending::Closed), Err(Refused::AlreadyExists));
    assert_eq!(house.seen.take(), ["interrupted /in/lotto.zip 5"]);
    // Another session takes it over: told when the first is through, whether it says CLOSE or not.
    for ending in [Ending::Closed, Ending::Dropped] {
        let mut first = open(&one, "in/a.zip", WRITE).unwrap();
        first.write_at(&[(0, b"primo")]).unwrap();
        let second = open(&two, "in/a.zip", RESUME).unwrap();
        let _ = first.finish(ending);
        assert_eq!(house.seen.take(), ["interrupted /in/a.zip 5"], "{ending:?}");
        second.finish(Ending::Closed).unwrap();
        assert!(house.seen.take()[0].starts_with("uploaded /in/a.zip 5 "));
        two.remove(b"in/a.zip").unwrap();
        house.seen.take();
    }
}

#[test]
fn folders_are_flows_and_nothing_else() {
    let house = House::new();
    let home = house.home();
    home.make_folder(b"in/cds").unwrap();
    home.make_folder(b"in/prova/cds").unwrap();
    let table: [(&[u8], Refused); 9] = [
        (b"in/cds", Refused::AlreadyExists),
        (b"in/CDS", Refused::NameCollides),
        (b"in/cds/a", Refused::NotAllowed),
        (b"in/prova/cds/a", Refused::NotAllowed),
        (b"in/.git", Refused::NameRefused),
        (b"in/aux", Refused::NameRefused),
        (b"altra", Refused::Outside),
        (b"in", Refused::AlreadyExists),
        (b"esiti/letti", Refused::ReadOnly),
    ];
    for (path, want) in table {
        assert_eq!(home.make_folder(path), Err(want), "{}", String::from_utf8_lossy(path));
    }
    let mut file = open(&home, "in/cds/lotto.zip", WRITE).unwrap();
    file.write_at(&[(0, b"x")]).unwrap();
    drop(file);
    assert_eq!(home.remove_folder(b"in/cds"), Err(Refused::FolderNotEmpty), "a partial upload is in it");
    assert_eq!(home.remove(b"in/cds"), Err(Refused::IsAFolder));
    home.remove(b"in/cds/lotto.zip").unwrap();
    home.remove_folder(b"in/CDS").unwrap();
    for (path, want) in
        [("in/prova", Refused::NotAllowed), ("in", Refused::NotAllowed), ("/", Refused::NotAllowed), ("in/x", Refused::NotFound)]
    {
        assert_eq!(home.remove_folder(path.as_bytes()), Err(want), "{path}");
    }
    assert_eq!(names(&home, "/"), ["attestazioni", "esiti", "in", "rendicontazioni", "ricevute", "scarti"]);
    assert_eq!((names(&home, "in"), names(&home, "in/prova")), (vec!["prova".to_owned()], vec!["cds".to_owned()]));
    assert_eq!(home.real_path(b"IN//prova/./../x.zip").as_deref(), Ok("/in/x.zip"));
    assert_eq!(list(&home, "in/x"), Err(Refused::NotFound));
    assert!(home.stat(b"/").is_ok() && home.stat(b"in").is_ok() && home.stat(b"nulla") == Err(Refused::NotFound));
}

#[test]
fn a_path_that_means_a_folder_never_becomes_a_file() {
    let house = House::with(|settings| settings.limits.may_delete_published = true);
    let home = house.home();
    home.make_folder(b"in/Cds").unwrap();
    put(&home, "in/lotto.zip", b"x").unwrap();
    std::fs::write(house.path("esiti/e.csv"), "x").unwrap();
    let append = OpenFlags { append: true, create: true, ..RESUME };
    let table = [
        ("in/nuova/", Refused::NoFolder),
        ("in/nuova/.", Refused::NoFolder),
        ("in/nuova//", Refused::NoFolder),
        ("in/prova/nuova/", Refused::NoFolder),
        ("in/nuova/x/..", Refused::NoFolder),
        ("in/nuova/lotto.zip", Refused::NoFolder),
        ("in/lotto.zip/", Refused::NotAFolder),
        ("in/Cds/", Refused::IsAFolder),
        // Who comes from Windows means the one that is there.
        ("in/CDS/", Refused::IsAFolder),
        ("in/", Refused::IsAFolder),
    ];
    for (path, want) in table {
        for flags in [WRITE, append] {
            assert_eq!(open(&home, path, flags).err(), Some(want), "{path}");
        }
        let want = match want {
            Refused::IsAFolder if path == "in/" => Refused::NotAllowed,
            Refused::IsAFolder => Refused::AlreadyExists,
            want => want,
        };
        for replace in [false, true] {
            assert_eq!(home.rename(b"in/lotto.zip", path.as_bytes(), replace), Err(want), "rename to {path}");
        }
    }
    assert_eq!(home.rename(b"esiti/e.csv", b"esiti/letti/", false), Err(Refused::NoFolder));
    assert_eq!(house.tree("in").into_keys().collect::<Vec<_>>(), ["Cds/", "lotto.zip", "prova/"]);
    assert!(house.tree(".messo/arrivo").values().all(Vec::is_empty) && house.path("esiti/e.csv").exists());
    assert_eq!(home.stat(b"in/CDS/").map(|found| found.mode), Ok(Some(0o040_750)), "as scp asks before it sends");
    put(&home, "in/CDS/lotto.zip", b"y").unwrap();
    assert!(house.path("in/Cds/lotto.zip").exists());
}

#[test]
fn the_folders_of_the_flows_are_there_and_are_not_counted() {
    let house = House::with(|settings| settings.limits.quota_files = 2);
    let flows = ["cds", "tari", "..", "a/b", ".git"].map(str::to_owned);
    std::fs::create_dir(house.path("in/TARI")).unwrap();
    house.shared.make_flow_folders(&flows);
    let home = house.home();
    assert_eq!(names(&home, "in"), ["TARI", "cds", "prova"], "one that is there in other letters stays the only one");
    assert_eq!(house.shared.usage(), Usage { bytes: 0, files: 0 });
    put(&home, "in/cds/lotto.zip", b"x").unwrap();
    put(&home, "in/tari/lotto.zip", b"x").unwrap();
    assert_eq!(put(&home, "in/altro.zip", b"x"), Err(Refused::QuotaFiles));
    assert!(house.path("in/TARI/lotto.zip").exists());
}

#[test]
fn two_sessions_do_not_write_one_file_unless_the_first_went_silent() {
    let house = House::with(|settings| settings.takeover = Duration::from_secs(2));
    let (one, two) = (house.home(), house.home());
    let mut first = open(&one, "in/lotto.zip", WRITE).unwrap();
    first.write_at(&[(0, b"primo"), (9, b"x")]).unwrap();
    for flags in [WRITE, RESUME] {
        assert_eq!(open(&two, "in/lotto.zip", flags).err(), Some(Refused::Busy));
    }
    assert_eq!(two.remove(b"in/lotto.zip"), Err(Refused::Busy));
    assert_eq!(two.rename(b"in/lotto.zip", b"in/b.zip", true), Err(Refused::Busy));
    put(&two, "in/b.zip", b"b").unwrap();
    assert_eq!(two.rename(b"in/b.zip", b"in/lotto.zip", true), Err(Refused::Busy));
    // The same session may have it open twice, as sshfs does: whole when the last is closed.
    let mut second = open(&one, "in/lotto.zip", RESUME).unwrap();
    second.write_at(&[(5, b"1234")]).unwrap();
    second.finish(Ending::Closed).unwrap();
    assert!(!house.path("in/lotto.zip").exists());
    // Silent for a while: its client is back on another connection.
    std::thread::sleep(Duration::from_millis(2_100));
    let mut file = open(&two, "in/lotto.zip", RESUME).unwrap();
    assert_eq!(size(&two, "in/lotto.zip"), Ok(10));
    assert_eq!(first.write_at(&[(0, b"tardi")]), Err((0, Refused::Busy)));
    assert_eq!(first.finish(Ending::Closed), Err(Refused::Busy), "what it said was written is not in its hands");
    file.write_at(&[(10, b"!")]).unwrap();
    file.finish(Ending::Closed).unwrap();
    assert_eq!(house.tree("in")["lotto.zip"], b"primo1234x!");
}

#[test]
fn a_small_file_is_flushed_while_its_client_pauses_once_and_never_for_nothing() {
    let house = House::new();
    let begin = |name: &str| house.shared.open_write(1, &Rel::new(name), WRITE).unwrap();
    let write = |upload: &Upload, at: u64, bytes: &[u8]| upload.write_at(&house.shared, &[(at, bytes)]).unwrap();
    let small = begin("a.zip");
    small.flush_ahead(&house.shared);
    assert_eq!(small.ahead(), (None, false), "nothing is in it");
    write(&small, 0, b"abc");
    small.flush_ahead(&house.shared);
    assert_eq!(small.ahead(), (Some(Ok(())), true));
    write(&small, 3, b"d");
    assert_eq!(small.ahead(), (Some(Ok(())), false), "CLOSE flushes what came afterwards");
    small.flush_ahead(&house.shared);
    assert_eq!(small.ahead(), (Some(Ok(())), false), "who pauses often does not flush often");
    assert!(matches!(house.shared.finish(&small, Ending::Closed), Ok(Outcome::Whole { size: 4, .. })));
    assert_eq!(std::fs::read(house.path("in/a.zip")).unwrap(), b"abcd");

    let (large, holed) = (begin("b.zip"), begin("c.zip"));
    write(&large, 0, &vec![1; (256 << 10) + 1]);
    write(&holed, 10, b"abc");
    for upload in [&large, &holed] {
        upload.flush_ahead(&house.shared);
        assert_eq!(upload.ahead(), (None, false));
    }

    // The system tells of a failed flush only once: the next one would say that all is well.
    let failed = begin("d.zip");
    write(&failed, 0, b"abc");
    failed.fail_ahead();
    assert!(matches!(house.shared.finish(&failed, Ending::Closed), Ok(Outcome::Partial { size: 0, why: Refused::Io })));
    assert!(!house.path("in/d.zip").exists());
}
