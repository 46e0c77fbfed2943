//! What the gestionale reads.

use super::*;

#[test]
fn published_files_are_read_and_changed_only_where_it_is_allowed() {
    for allowed in [false, true] {
        let house = House::with(|settings| settings.limits.may_delete_published = allowed);
        let home = house.home();
        for name in ["Esito-1.csv", "esito-2.csv", ".messo-3.part"] {
            std::fs::write(house.path("esiti").join(name), name).unwrap();
        }
        assert_eq!(names(&home, "esiti"), ["Esito-1.csv", "esito-2.csv"], "what is being placed is not shown");
        assert_eq!(get(&home, "esiti/Esito-1.csv").unwrap(), b"Esito-1.csv");
        assert_eq!(get(&home, "ESITI/ESITO-1.CSV").unwrap(), b"Esito-1.csv", "letter case does not matter");
        assert_eq!(house.seen.take(), ["downloaded /esiti/Esito-1.csv 11/11", "downloaded /esiti/ESITO-1.CSV 11/11"]);
        assert_eq!(get(&home, "esiti/.messo-3.part"), Err(Refused::Outside));
        for flags in [WRITE, RESUME, OpenFlags { read: true, ..RESUME }] {
            for path in ["esiti/esito-2.csv", "esiti/nuovo.csv"] {
                assert_eq!(open(&home, path, flags).err(), Some(Refused::ReadOnly), "{path} {flags:?}");
            }
        }
        let size_zero = Attributes { size: Some(0), ..Attributes::default() };
        assert_eq!(home.set_attributes(b"esiti/esito-2.csv", &size_zero), Err(Refused::ReadOnly));
        home.set_attributes(b"esiti/esito-2.csv", &Attributes { times: Some((1, 1)), mode: Some(0o777), ..Attributes::default() }).unwrap();
        for path in ["esiti", "ricevute"] {
            assert_eq!(home.remove_folder(path.as_bytes()), Err(Refused::NotAllowed), "{path}");
        }
        assert_eq!(home.rename(b"esiti/esito-2.csv", b"in/esito-2.csv", false), Err(Refused::NotAllowed));
        assert_eq!(home.rename(b"esiti/esito-2.csv", b"scarti/esito-2.csv", false), Err(Refused::NotAllowed));
        let results = [
            home.make_folder(b"esiti/letti"),
            home.rename(b"esiti/Esito-1.csv", b"esiti/esito-2.csv", true),
            home.rename(b"esiti/Esito-1.csv", b"esiti/letti/Esito-1.csv", false),
            home.rename(b"esiti/esito-2.csv", b"esiti/esito-2.csv.letto", true),
            home.remove(b"esiti/ESITO-2.csv.letto"),
            home.remove(b"esiti/nulla.csv"),
            home.remove_folder(b"esiti/letti"),
        ];
        if allowed {
            let want = [Ok(()), Err(Refused::AlreadyExists), Ok(()), Ok(()), Ok(()), Err(Refused::NotFound), Err(Refused::FolderNotEmpty)];
            assert_eq!(results, want);
            assert_eq!(house.tree("esiti").keys().collect::<Vec<_>>(), [".messo-3.part", "letti/", "letti/Esito-1.csv"]);
            assert_eq!(
                (names(&home, "esiti/LETTI"), get(&home, "esiti/Letti/esito-1.csv").unwrap().len()),
                (vec!["Esito-1.csv".to_owned()], 11)
            );
        } else {
            assert_eq!(results[0], Err(Refused::ReadOnly));
            assert!(results[1..].iter().all(|result| *result == Err(Refused::NotAllowed)), "{results:?}");
            assert_eq!(house.tree("esiti").len(), 3);
        }
    }
}

#[test]
fn attestations_are_found_in_the_folders_of_their_year_and_notification() {
    let house = House::with(|settings| settings.limits.may_delete_published = true);
    let home = house.home();
    std::fs::create_dir_all(house.path("attestazioni/2026/IUN-1")).unwrap();
    std::fs::write(house.path("attestazioni/2026/IUN-1/AAR.pdf"), "%PDF").unwrap();
    assert_eq!(names(&home, "attestazioni"), ["2026"]);
    assert_eq!(names(&home, "attestazioni/2026"), ["IUN-1"]);
    assert_eq!(names(&home, "Attestazioni/2026/IUN-1"), ["AAR.pdf"]);
    assert_eq!(get(&home, "attestazioni/2026/IUN-1/AAR.pdf").unwrap(), b"%PDF");
    assert_eq!(open(&home, "attestazioni/2026/IUN-1/x.pdf", WRITE).err(), Some(Refused::ReadOnly));
    assert_eq!(home.make_folder(b"attestazioni/2026/IUN-2"), Err(Refused::NotAllowed));
    home.remove(b"attestazioni/2026/IUN-1/AAR.pdf").unwrap();
    assert_eq!(house.tree("attestazioni").len(), 2, "the folders stay");
}

#[test]
fn a_large_folder_is_listed_page_by_page() {
    let house = House::new();
    for number in 0..3000 {
        std::fs::write(house.path(&format!("esiti/{number}.csv")), "x").unwrap();
    }
    let mut listing = house.home().list(b"esiti").unwrap();
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let page = listing.next(100).unwrap();
        assert!(page.len() <= 100);
        if page.is_empty() {
            break;
        }
        // Removed while it is listed: no error.
        let _ = std::fs::remove_file(house.path(&format!("esiti/{}.csv", seen.len())));
        seen.extend(page.into_iter().map(|entry| entry.name));
    }
    assert!(seen.len() > 2900, "{}", seen.len());
}
