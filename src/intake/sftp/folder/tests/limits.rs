//! Quotas, sizes, full disks.

use std::process::Command;

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
    file.finish(Ending::Closed).unwrap();
    let before = house.shared.usage();
    let house = House { shared: Shared::open(settings(house.place.path(), &house.arrivals)).unwrap(), ..house };
    assert_eq!(house.shared.usage(), before, "counted again at the start");
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

/// A tiny file system, unmounted when dropped.
struct Tiny(PathBuf);

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_and_what_was_there_can_go_on_later() {
    let place = tempfile::tempdir().unwrap();
    let run = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1024k,mode=0700", "tmpfs"]).arg(place.path()).output();
    if !run.is_ok_and(|run| run.status.success()) {
        println!("skipped: mount di un tmpfs non permesso");
        return;
    }
    let _tiny = Tiny(place.path().to_owned());
    let arrivals = Arc::new(Arrivals::new(Duration::from_millis(50)));
    let shared = Shared::open(settings(place.path(), &arrivals)).unwrap();
    let home = FolderHome::new(shared.clone(), None);
    let ballast = place.path().join("zavorra");
    std::fs::write(&ballast, vec![0; 512 << 10]).unwrap();
    let mut file = open(&home, "in/lotto.zip", WRITE).unwrap();
    let piece = vec![b'x'; 100_000];
    let mut written = 0;
    let refused = (0..10u64).find_map(|at| {
        let result = file.write_at(&[(at * 100_000, &piece)]);
        written += u64::from(result.is_ok());
        result.err()
    });
    assert_eq!(refused, Some((0, Refused::DiskFull)));
    drop(file);
    let there = size(&home, "in/lotto.zip").unwrap();
    assert!(there >= written * 100_000 && there % 4096 < 100_000, "{there} bytes after {written} pieces");
    assert_eq!(shared.usage().bytes, there, "what did not fit is not counted");
    assert_eq!(std::fs::read(place.path().join(".messo/arrivo/lotto.zip")).unwrap(), vec![b'x'; there as usize]);
    std::fs::remove_file(ballast).unwrap();
    let mut file = open(&home, "in/lotto.zip", RESUME).unwrap();
    file.write_at(&[(there, b"fine")]).unwrap();
    file.finish(Ending::Closed).unwrap();
    assert_eq!(std::fs::metadata(place.path().join("in/lotto.zip")).unwrap().len(), there + 4);
}
