//! No path and no trap on the share leads out of the account's folders.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags};

use super::*;

const SECRET: &[u8] = b"segreto di un altro gestionale";

/// A house with every trap that somebody with access to the share can lay, and a folder outside it.
fn trapped() -> (House, tempfile::TempDir) {
    let house = House::with(|settings| {
        settings.limits.may_delete_published = true;
        settings.fsync = false;
    });
    let outside = tempfile::tempdir_in(house.place.path().parent().unwrap()).unwrap();
    std::fs::create_dir(outside.path().join("cds")).unwrap();
    for name in ["segreto", "lotto.zip", "cds/lotto.zip", "originale"] {
        std::fs::write(outside.path().join(name), SECRET).unwrap();
    }
    std::fs::create_dir_all(house.path("in/cds")).unwrap();
    std::fs::create_dir_all(house.path(".messo/lavoro")).unwrap();
    std::fs::write(house.path(".messo/lavoro/in-lavorazione"), SECRET).unwrap();
    std::fs::write(house.path("chiavi.toml"), SECRET).unwrap();
    std::fs::write(house.path("esiti/.messo-1.part"), SECRET).unwrap();
    for folder in ["in", "in/cds", "esiti", ".messo/arrivo"] {
        symlink(outside.path().join("segreto"), house.path(folder).join("link.zip")).unwrap();
        symlink(outside.path(), house.path(folder).join("cartella")).unwrap();
        symlink("../../..", house.path(folder).join("su")).unwrap();
        symlink("/proc/self", house.path(folder).join("proc")).unwrap();
        symlink("giro", house.path(folder).join("giro")).unwrap();
        symlink(outside.path().join("nuovo"), house.path(folder).join("appeso.zip")).unwrap();
        std::fs::hard_link(outside.path().join("originale"), house.path(folder).join("doppio.zip")).unwrap();
        rustix::fs::mknodat(CWD, house.path(folder).join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        // Only root may: then `/dev/zero`.
        let _ =
            rustix::fs::mknodat(CWD, house.path(folder).join("zero"), FileType::CharacterDevice, Mode::all(), rustix::fs::makedev(1, 5));
    }
    // A whole published folder exchanged for a link.
    std::fs::remove_dir(house.path("ricevute")).unwrap();
    symlink(outside.path(), house.path("ricevute")).unwrap();
    (house, outside)
}

fn paths(outside: &Path) -> Vec<Vec<u8>> {
    let absolute = outside.to_string_lossy();
    let name = outside.file_name().unwrap().to_string_lossy();
    let mut all: Vec<Vec<u8>> = [
        "/etc/passwd",
        "etc/passwd",
        "/proc/self/environ",
        "/proc/self/cwd/Cargo.toml",
        "/dev/zero",
        "chiavi.toml",
        "/chiavi.toml",
        "in/../chiavi.toml",
        "../chiavi.toml",
        "in/../../chiavi.toml",
        ".messo",
        ".messo/lavoro/in-lavorazione",
        "/.messo/arrivo/x.zip",
        "in/../.messo/lavoro/in-lavorazione",
        ".MESSO/lavoro/in-lavorazione",
        "esiti/.messo-1.part",
        "esiti/.Messo-1.part",
        "in/.messo-rubato",
        "in/link.zip",
        "in/cds/link.zip",
        "esiti/link.zip",
        "in/cartella",
        "in/cartella/segreto",
        "in/cartella/lotto.zip",
        "in/cds/cartella/segreto",
        "in/prova/../cartella/segreto",
        "esiti/cartella",
        "esiti/cartella/segreto",
        "esiti/cartella/cds/lotto.zip",
        "ricevute",
        "ricevute/segreto",
        "RICEVUTE/segreto",
        "ricevute/nuovo.zip",
        "in/su",
        "in/su/etc/passwd",
        "in/su/chiavi.toml",
        "esiti/su/chiavi.toml",
        "in/proc",
        "in/proc/environ",
        "in/proc/cwd/Cargo.toml",
        "esiti/proc/environ",
        "in/giro",
        "in/giro/giro",
        "in/appeso.zip",
        "esiti/appeso.zip",
        "in/doppio.zip",
        "in/cds/doppio.zip",
        "esiti/doppio.zip",
        "in/pipe",
        "esiti/pipe",
        "in/zero",
        "esiti/zero",
        "in/..\\..\\chiavi.toml",
        "in\\..\\chiavi.toml",
        "C:\\chiavi.toml",
        "in/%2e%2e/chiavi.toml",
        "in/..%2fchiavi.toml",
        "in/\u{2025}/chiavi.toml",
        "in/\u{ff0e}\u{ff0e}/chiavi.toml",
        "in/.\u{200b}./chiavi.toml",
        "in/...",
        "in/~",
        "~/.ssh/authorized_keys",
        "in//../..//chiavi.toml",
        "in/link.zip/",
        "in/cartella/.",
        "in/cartella/..",
        "in/cartella/../link.zip",
        "//in//cartella//segreto",
        "-",
        "",
        "/",
        "..",
    ]
    .map(|path| path.as_bytes().to_vec())
    .into();
    all.push(format!("{absolute}/segreto").into());
    all.push(format!("../{name}/segreto").into());
    all.push(format!("in/../../{name}/segreto").into());
    all.push(b"in/..\0/segreto".to_vec());
    all.push(b"in/link.zip\0.zip".to_vec());
    all.push(b"in/..\xc0\xaf..\xc0\xafchiavi.toml".to_vec());
    all.push(b"in/\xc0\xae\xc0\xae/chiavi.toml".to_vec());
    all.push(b"\xff\xfe/segreto".to_vec());
    all.push(format!("in/{}", "../".repeat(1000) + "etc/passwd").into());
    all.push(format!("in/{}", "a".repeat(300)).into());
    all.push("../".repeat(3000).into());
    all
}

/// Everything that a client can do with a path; what was read.
fn everything(house: &House, path: &[u8]) -> Vec<u8> {
    let home = house.home();
    let none = Attributes::default();
    let mut read = Vec::new();
    let _ = home.real_path(path);
    let _ = home.space(path);
    let _ = home.stat(path);
    let times = Attributes { size: None, owner: Some((0, 0)), mode: Some(0o104_777), times: Some((1, 1)) };
    let _ = home.set_attributes(path, &times);
    let _ = home.set_attributes(path, &Attributes { size: Some(0), ..none.clone() });
    for flags in
        [READ, OpenFlags { read: true, ..RESUME }, OpenFlags { append: true, ..RESUME }, OpenFlags { exclusive: true, ..WRITE }, WRITE]
    {
        let Ok(mut file) = home.open(path, flags, &none) else { continue };
        let mut bytes = [0; 100];
        if let Ok(got) = file.read_at(0, &mut bytes) {
            read.extend_from_slice(&bytes[..got]);
        }
        let _ = file.write_at(&[(0, b"rovinato")]);
        let _ = file.set_attributes(&Attributes { size: Some(3), ..times.clone() });
        let _ = file.finish(Ending::Closed);
    }
    if let Ok(mut listing) = home.list(path) {
        while let Ok(page) = listing.next(100)
            && !page.is_empty()
        {
            read.extend(page.into_iter().flat_map(|entry| entry.name.into_bytes()));
        }
    }
    let _ = home.make_folder(path);
    put(&home, "in/mio.zip", b"mio").unwrap();
    for replace in [false, true] {
        let _ = home.rename(b"in/mio.zip", path, replace);
        let _ = home.rename(path, b"in/mio.zip", replace);
        let _ = home.rename(path, b"esiti/mio.zip", replace);
        let _ = get(&home, "in/mio.zip").map(|bytes| read.extend(bytes));
    }
    let _ = home.remove(path);
    let _ = home.remove_folder(path);
    read
}

#[test]
fn no_path_leads_out_whatever_is_done_with_it() {
    for openat2 in [true, false] {
        let count = paths(Path::new("/tmp/x")).len();
        assert!(count >= 40, "{count}");
        for number in 0..count {
            let (house, outside) = trapped();
            if !openat2 {
                house.shared.beneath.without_openat2();
            }
            let path = paths(outside.path()).swap_remove(number);
            let before = tree(outside.path());
            let times = |name: &str| std::fs::metadata(outside.path().join(name)).unwrap().modified().unwrap();
            let time = times("originale");
            let read = everything(&house, &path);
            let shown = String::from_utf8_lossy(&path);
            let contains = |what: &[u8]| read.windows(what.len()).any(|window| window == what);
            assert!(
                !contains(SECRET) && !contains(b"root:") && !contains(b"[dependencies]") && !contains(b"originale"),
                "{shown:?} (openat2 {openat2}): read"
            );
            assert!(!contains(b".messo") && !contains(b"chiavi"), "{shown:?}: listed what is ours");
            assert_eq!(tree(outside.path()), before, "{shown:?} (openat2 {openat2}): changed what is outside");
            assert_eq!(times("originale"), time, "{shown:?}: changed times outside");
            for ours in ["chiavi.toml", ".messo/lavoro/in-lavorazione", "esiti/.messo-1.part"] {
                assert_eq!(std::fs::read(house.path(ours)).unwrap(), SECRET, "{shown:?} (openat2 {openat2}): changed {ours}");
            }
        }
    }
}

#[test]
fn a_folder_that_becomes_a_link_while_it_is_used_leads_nowhere() {
    for openat2 in [true, false] {
        let house = House::with(|settings| settings.fsync = false);
        if !openat2 {
            house.shared.beneath.without_openat2();
        }
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("lotto.zip"), SECRET).unwrap();
        std::fs::create_dir(house.path("in/cds")).unwrap();
        symlink(outside.path(), house.path("in/altra")).unwrap();
        std::fs::write(house.path("in/vera.zip"), b"mia").unwrap();
        symlink(outside.path().join("lotto.zip"), house.path("in/falsa.zip")).unwrap();
        let before = tree(outside.path());
        let stop = AtomicBool::new(false);
        let mut worked = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let swap = |a: &str, b: &str| {
                    let _ = rustix::fs::renameat_with(CWD, house.path(a), CWD, house.path(b), RenameFlags::EXCHANGE);
                };
                while !stop.load(Ordering::Relaxed) {
                    swap("in/cds", "in/altra");
                    swap("in/vera.zip", "in/falsa.zip");
                }
            });
            for round in 0..500 {
                let home = house.home();
                for path in ["in/cds/lotto.zip", "in/vera.zip"] {
                    worked += usize::from(put(&home, path, format!("giro {round}").as_bytes()).is_ok());
                    if let Ok(bytes) = get(&home, path) {
                        assert_ne!(bytes, SECRET, "round {round}: read {path}");
                    }
                    let _ = home.rename(b"in/vera.zip", b"in/cds/lotto.zip", true);
                    let _ =
                        home.set_attributes(path.as_bytes(), &Attributes { times: Some((5, 5)), size: Some(1), ..Attributes::default() });
                    let _ = home.remove(path.as_bytes());
                    if round % 100 == 0 {
                        // What the loop used up is laid again.
                        std::fs::write(house.path("nuova"), b"mia").unwrap();
                        let _ = std::fs::rename(house.path("nuova"), house.path("in/vera.zip"));
                        let _ = symlink(outside.path().join("lotto.zip"), house.path("in/falsa.zip"));
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(tree(outside.path()), before, "openat2 {openat2}");
        assert!(worked > 50, "{worked} uploads worked at all");
    }
}
