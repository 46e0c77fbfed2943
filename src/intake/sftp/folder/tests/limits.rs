//! Quotas and sizes; a disk that is really full is in `tests/sftp_disk.rs`.

use super::*;

#[test]
fn quotas_count_what_waits_and_free_what_was_taken() {
    let house = House::with(|settings| {
        settings.limits.quota_bytes = 100;
        settings.limits.quota_files = 4;
    });
    let home = house.home();
    put(&home, "in/a.zip", &[b'a'; 40]).unwrap();
    let mut file = open(&home, "in/b.zip", WRITE).unwrap();
    file.write_at(&[(0, &[b'b'; 40])]).unwrap();
    assert_eq!(house.shared.usage(), Usage { bytes: 80, files: 2 });
    assert_eq!(file.write_at(&[(40, &[b'b'; 20]), (60, &[b'b'; 1])]), Err((0, Refused::QuotaBytes)));
    // Sparse bytes count, and so does a size that is only told.
    assert_eq!(file.write_at(&[(60, b"x")]), Err((0, Refused::QuotaBytes)));
    assert_eq!(file.set_attributes(&Attributes { size: Some(61), ..Attributes::default() }), Err(Refused::QuotaBytes));
    file.write_at(&[(0, &[b'c'; 60])]).unwrap();
    assert_eq!(file.finish(Ending::Closed), Err(Refused::QuotaBytes), "a byte past them was refused and not sent again");
    let file = open(&home, "in/b.zip", RESUME).unwrap();
    file.finish(Ending::Closed).unwrap();
    assert_eq!(house.shared.usage(), Usage { bytes: 100, files: 2 });
    assert_eq!(put(&home, "in/c.zip", b"x"), Err(Refused::QuotaBytes));
    assert_eq!(home.space(b"in").unwrap().free, 0);
    // The hub takes one without saying so.
    house.claim("a.zip");
    std::thread::sleep(Duration::from_millis(300));
    put(&home, "in/c.zip", &[b'x'; 40]).unwrap();
    // Empty files count as files; folders too; partial ones too.
    put(&home, "in/d.zip", b"").unwrap();
    home.make_folder(b"in/cds").unwrap();
    assert_eq!(put(&home, "in/e.zip", b""), Err(Refused::QuotaFiles));
    assert_eq!(home.make_folder(b"in/tari"), Err(Refused::QuotaFiles));
    home.remove(b"in/d.zip").unwrap();
    let partial = open(&home, "in/e.zip", WRITE).unwrap();
    assert_eq!(put(&home, "in/f.zip", b""), Err(Refused::QuotaFiles));
    drop(partial);
    put(&home, "in/f.zip", b"").unwrap();
    // More is allowed while sessions go on.
    house.shared.set_limits(Limits { quota_bytes: 200, quota_files: 10, largest_file: 50, disk_reserve: 0, may_delete_published: false });
    put(&home, "in/g.zip", &[b'x'; 50]).unwrap();
    let mut file = open(&home, "in/h.zip", WRITE).unwrap();
    let table: [(u64, usize, Option<Refused>); 6] = [
        (0, 50, None),
        (50, 0, None),
        (50, 1, Some(Refused::TooLarge)),
        (1 << 62, 1, Some(Refused::TooLarge)),
        (u64::MAX, 1, Some(Refused::TooLarge)),
        (u64::MAX, 0, Some(Refused::TooLarge)),
    ];
    for (offset, len, want) in table {
        assert_eq!(file.write_at(&[(offset, &vec![b'h'; len])]).err().map(|(_, why)| why), want, "{len} bytes at {offset}");
    }
    assert_eq!(file.write_at(&[(0, b"a"), (1, b"b"), (60, b"c")]), Err((2, Refused::TooLarge)), "those before it are written");
    assert_eq!(file.set_attributes(&Attributes { size: Some(51), ..Attributes::default() }), Err(Refused::TooLarge));
    assert_eq!(file.finish(Ending::Closed), Err(Refused::TooLarge));
    assert_eq!(size(&home, "in/h.zip"), Err(Refused::NotFound), "the rest of it will never be taken");
    let before = house.shared.usage();
    let house = House { shared: Shared::open(settings(house.place.path(), &house.arrivals)).unwrap(), ..house };
    assert_eq!(house.shared.usage(), before, "counted again at the start");
}

/// A CSV of 90 bytes, of which at first 60 have room. (what follows the refusal, what CLOSE says, what is whole, what is kept)
#[test]
fn a_file_of_which_a_write_was_refused_is_not_whole() {
    type Act = fn(&House, &mut Box<dyn OpenFile>);
    let more = |house: &House| {
        let limits = settings(house.place.path(), &house.arrivals).limits;
        house.shared.set_limits(limits);
    };
    let resend: Act = |_, file| file.write_at(&[(60, &[b'c'; 30])]).unwrap();
    let half: Act = |_, file| file.write_at(&[(60, &[b'c'; 15])]).unwrap();
    let shorter: Act = |_, file| file.set_attributes(&Attributes { size: Some(60), ..Attributes::default() }).unwrap();
    let rewrite: Act = |_, file| file.write_at(&[(0, &[b'c'; 60])]).unwrap();
    type Case<'c> = (&'c str, bool, &'c [Act], Result<(), Refused>, Option<usize>, Option<usize>);
    let table: [Case<'_>; 7] = [
        ("nothing", false, &[], Err(Refused::QuotaBytes), None, Some(60)),
        ("room, and nothing sent again", true, &[], Err(Refused::QuotaBytes), None, Some(60)),
        ("sent again", true, &[resend], Ok(()), Some(90), None),
        ("half of it sent again", true, &[half], Err(Refused::QuotaBytes), None, Some(75)),
        ("both halves", true, &[half, resend], Ok(()), Some(90), None),
        ("made shorter on purpose", false, &[shorter], Ok(()), Some(60), None),
        ("something else sent again", false, &[rewrite], Err(Refused::QuotaBytes), None, Some(60)),
    ];
    for (title, room, acts, want, whole, kept) in table {
        let house = House::with(|settings| settings.limits.quota_bytes = 60);
        let home = house.home();
        let mut file = open(&home, "in/lotto.csv", WRITE).unwrap();
        file.write_at(&[(0, &[b'c'; 30]), (30, &[b'c'; 30])]).unwrap();
        assert_eq!(file.write_at(&[(60, &[b'c'; 15])]), Err((0, Refused::QuotaBytes)), "{title}");
        assert_eq!(file.write_at(&[(75, &[b'c'; 15])]), Err((0, Refused::QuotaBytes)), "{title}");
        if room {
            more(&house);
        }
        acts.iter().for_each(|act| act(&house, &mut file));
        assert_eq!(file.finish(Ending::Closed), want, "{title}");
        let of = |top: &str| house.tree(top).get("lotto.csv").map(Vec::len);
        assert_eq!((of("in"), of(".messo/arrivo")), (whole, kept), "{title}");
        assert_eq!(house.arrivals.get(Path::new("lotto.csv")).is_some(), whole.is_some(), "{title}: told to the watcher");
        let told = match whole {
            Some(size) => format!("uploaded /in/lotto.csv {size} "),
            None => format!("interrupted /in/lotto.csv {}", kept.unwrap_or(0)),
        };
        assert!(house.seen.take().iter().any(|line| line.starts_with(&told)), "{title}: {told}");
        // Gone on with from what is seen.
        if let Some(kept) = kept {
            more(&house);
            let mut file = open(&home, "in/lotto.csv", RESUME).unwrap();
            file.write_at(&[(kept as u64, &vec![b'c'; 90 - kept])]).unwrap();
            file.finish(Ending::Closed).unwrap();
            assert_eq!(house.tree("in")["lotto.csv"], vec![b'c'; 90], "{title}: resumed");
        }
    }
    // Bytes that were there and could not be written over are not the new ones.
    let house = House::new();
    let home = house.home();
    let mut file = open(&home, "in/lotto.csv", WRITE).unwrap();
    file.write_at(&[(0, &[b'v'; 90])]).unwrap();
    house.shared.set_limits(Limits { largest_file: 50, ..settings(house.place.path(), &house.arrivals).limits });
    assert_eq!(file.write_at(&[(0, &[b'n'; 40]), (40, &[b'n'; 20])]), Err((1, Refused::TooLarge)));
    assert_eq!(file.finish(Ending::Closed), Err(Refused::TooLarge));
    assert!(house.tree(".messo/arrivo").is_empty() && house.seen.take() == ["interrupted /in/lotto.csv 0"]);
    assert_eq!(house.shared.usage(), Usage { bytes: 0, files: 0 }, "a file that is too large takes nobody's room");
}

#[test]
fn a_size_that_cannot_be_set_costs_nothing() {
    let house = House::with(|settings| {
        settings.limits.largest_file = u64::MAX;
        settings.limits.quota_bytes = u64::MAX;
    });
    let home = house.home();
    let mut file = open(&home, "in/a.zip", WRITE).unwrap();
    file.write_at(&[(0, &[b'a'; 10])]).unwrap();
    let size = |size: u64| Attributes { size: Some(size), ..Attributes::default() };
    // Past what any file system takes, once the sidecar is written.
    if file.set_attributes(&size(i64::MAX as u64)).is_err() {
        assert!(house.tree(".messo/lacune").is_empty(), "nothing says that it has a hole");
    } else {
        file.set_attributes(&size(10)).unwrap();
    }
    assert_eq!(house.shared.usage(), Usage { bytes: 10, files: 1 });
    // No sidecar, as on a disk that is full.
    std::fs::remove_dir(house.path(".messo/lacune")).unwrap();
    assert!(file.set_attributes(&size(20)).is_err());
    assert_eq!(house.shared.usage(), Usage { bytes: 10, files: 1 });
    file.finish(Ending::Closed).unwrap();
    assert_eq!(house.tree("in")["a.zip"], [b'a'; 10]);
}

#[test]
fn thousands_of_holes_are_refused_and_the_disk_keeps_its_reserve() {
    let house = House::new();
    let home = house.home();
    let mut file = open(&home, "in/a.zip", WRITE).unwrap();
    let refused = (0..10_000u64).find_map(|at| file.write_at(&[(at * 2 + 1, b"x")]).err());
    assert_eq!(refused, Some((0, Refused::BadMessage)));
    drop(file);
    assert_eq!(size(&home, "in/a.zip"), Err(Refused::NotFound), "nothing of it is there from the beginning");
    let mut file = open(&home, "in/b.zip", WRITE).unwrap();
    let piece = vec![b'b'; 1 << 20];
    for at in 0..9 {
        file.write_at(&[(at << 20, &piece)]).unwrap();
    }
    house.shared.set_limits(Limits { disk_reserve: u64::MAX, ..settings(house.place.path(), &house.arrivals).limits });
    let refused = (9..32).find_map(|at| file.write_at(&[(at << 20, &piece)]).err());
    assert_eq!(refused, Some((0, Refused::DiskReserve)), "in the middle of an upload");
    drop(file);
    assert_eq!(open(&home, "in/c.zip", WRITE).err(), Some(Refused::DiskReserve), "before it begins");
    assert_eq!(home.space(b"/").unwrap().free, 0);
    assert!(list(&home, "in").is_ok());
}
