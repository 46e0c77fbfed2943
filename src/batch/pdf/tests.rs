//! Tests of `pdf`: hostile input is refused by name, good input read to the byte.

use lopdf::encryption::crypt_filters::{Aes256CryptFilter, CryptFilter};
use lopdf::{Dictionary, Document, EncryptionState, EncryptionVersion, Object, Permissions, SaveOptions, Stream, dictionary};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;

/// An act of `pages` pages, made by the oracle.
fn act(pages: u32) -> Document {
    let mut document = Document::with_version("1.7");
    let root = document.new_object_id();
    let kids: Vec<Object> = (0..pages)
        .map(|page| {
            let text = format!("BT /F1 12 Tf (pagina {page}) Tj ET");
            let content = document.add_object(Stream::new(Dictionary::new(), text.into_bytes()));
            document.add_object(dictionary! { "Type" => "Page", "Parent" => root, "Contents" => content }).into()
        })
        .collect();
    document.objects.insert(root, Object::Dictionary(dictionary! { "Type" => "Pages", "Kids" => kids, "Count" => pages }));
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => root });
    document.trailer.set("Root", catalog);
    let id = Object::string_literal(*b"0123456789abcdef");
    document.trailer.set("ID", vec![id.clone(), id]);
    document
}

fn encrypted(mut document: Document, aes: bool) -> Document {
    let filter: Arc<dyn CryptFilter> = Arc::new(Aes256CryptFilter);
    let version = if aes {
        EncryptionVersion::V5 {
            encrypt_metadata: true,
            crypt_filters: BTreeMap::from([(b"StdCF".to_vec(), filter)]),
            file_encryption_key: &[7; 32],
            stream_filter: b"StdCF".to_vec(),
            string_filter: b"StdCF".to_vec(),
            owner_password: "proprietario",
            user_password: "",
            permissions: Permissions::all(),
        }
    } else {
        EncryptionVersion::V2 {
            document: &document,
            owner_password: "proprietario",
            user_password: "segreta",
            key_length: 128,
            permissions: Permissions::all(),
        }
    };
    let state = EncryptionState::try_from(version).unwrap();
    document.encrypt(&state).unwrap();
    document
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Table,
    CrossReferenceStream,
    ObjectStreams,
    Linearized,
}

const SHAPES: [Shape; 4] = [Shape::Table, Shape::CrossReferenceStream, Shape::ObjectStreams, Shape::Linearized];

fn save(mut document: Document, shape: Shape) -> Vec<u8> {
    let options = SaveOptions {
        use_xref_streams: matches!(shape, Shape::CrossReferenceStream | Shape::ObjectStreams),
        use_object_streams: matches!(shape, Shape::ObjectStreams),
        linearize: matches!(shape, Shape::Linearized),
        ..SaveOptions::default()
    };
    let mut bytes = Vec::new();
    document.save_with_options(&mut bytes, options).unwrap();
    bytes
}

fn sniff(bytes: &[u8], piece: usize) -> Sniffer {
    let mut sniffer = Sniffer::new();
    bytes.chunks(piece).for_each(|piece| sniffer.update(piece));
    sniffer
}

fn facts(bytes: &[u8]) -> PdfFacts {
    let sniffer = sniff(bytes, 1 << 16);
    assert!(sniffer.is_pdf());
    inspect(bytes, sniffer.mentions_encryption(), true)
}

/// What a signer appends (PAdES): a new revision with a signature, after the bytes that were there.
fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    let start = memchr::memmem::rfind(&bytes, b"startxref").unwrap() + b"startxref".len();
    let previous: usize = String::from_utf8_lossy(&bytes[start..]).split_whitespace().next().unwrap().parse().unwrap();
    let root = memchr::memmem::rfind(&bytes, b"/Root ").unwrap() + b"/Root ".len();
    let root: u32 = String::from_utf8_lossy(&bytes[root..]).split_whitespace().next().unwrap().parse().unwrap();
    bytes.push(b'\n');
    let object = bytes.len();
    bytes
        .extend(b"90 0 obj\n<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/Contents<3082(>/ByteRange[0 1 2 3]>>\nendobj\n");
    let table = bytes.len();
    let trailer = format!("<</Size 91/Prev {previous}/Root {root} 0 R>>");
    bytes.extend(format!("xref\n90 1\n{object:010} 00000 n \ntrailer\n{trailer}\nstartxref\n{table}\n%%EOF\n").as_bytes());
    bytes
}

#[test]
fn agrees_with_the_oracle_on_every_shape() {
    for shape in SHAPES {
        for pages in [1, 2, 37] {
            let bytes = save(act(pages), shape);
            let oracle = Document::load_metadata_mem(&bytes).unwrap();
            assert_eq!((oracle.encrypted, oracle.page_count), (false, pages), "oracle, {shape:?}");
            assert_eq!(facts(&bytes), PdfFacts { encrypted: false, pages: Some(pages) }, "{shape:?}");
            assert_eq!(inspect(&bytes, false, false).pages, None, "{shape:?}: nobody asked");
        }
    }
}

#[test]
fn finds_encryption_in_every_shape() {
    for shape in [Shape::Table, Shape::CrossReferenceStream, Shape::ObjectStreams] {
        for aes in [false, true] {
            let bytes = save(encrypted(act(2), aes), shape);
            for piece in [1, 3, 8, 9, 10, 1 << 16] {
                assert!(sniff(&bytes, piece).mentions_encryption(), "{shape:?} in pieces of {piece}");
            }
            assert_eq!(facts(&bytes), PdfFacts { encrypted: true, pages: None }, "{shape:?}, AES {aes}");
        }
    }
}

#[test]
fn takes_signed_documents() {
    for shape in [Shape::Table, Shape::CrossReferenceStream, Shape::ObjectStreams] {
        let once = signed(save(act(3), shape));
        let twice = signed(once.clone());
        for (what, bytes) in [("once", once), ("twice", twice)] {
            assert!(!sniff(&bytes, 4_096).mentions_encryption(), "{shape:?} {what}");
            assert_eq!(facts(&bytes), PdfFacts { encrypted: false, pages: Some(3) }, "{shape:?} {what}");
        }
        // Signed after encryption: the new trailer of this signer forgets it, the old one tells.
        let mut forgetful = save(encrypted(act(3), false), Shape::Table);
        forgetful = signed(forgetful);
        assert!(facts(&forgetful).encrypted);
    }
}

#[test]
fn a_mention_is_not_encryption() {
    let with_text = |text: &str| {
        let mut document = act(1);
        document.add_object(Object::string_literal(text));
        save(document, Shape::Table)
    };
    let table = [
        ("il campo /Encrypt del trailer", true, false),
        ("/EncryptMetadata true", false, false),
        ("/Encryption", false, false),
        ("niente", false, false),
    ];
    for (text, mention, want) in table {
        let bytes = with_text(text);
        assert_eq!(sniff(&bytes, 7).mentions_encryption(), mention, "{text}");
        assert_eq!(facts(&bytes), PdfFacts { encrypted: want, pages: Some(1) }, "{text}");
    }
    let mut null = act(1);
    null.trailer.set("Encrypt", Object::Null);
    let bytes = save(null, Shape::Table);
    assert!(!facts(&bytes).encrypted, "/Encrypt null");
}

#[test]
fn what_cannot_be_read_is_doubted_only_when_it_mentions_encryption() {
    let whole = save(act(2), Shape::Table);
    let broken = String::from_utf8_lossy(&whole).replace("startxref\n", "startxref\n9").into_bytes();
    let doubtful = [broken.clone(), b"\n/Encrypt 9 0 R\n".to_vec()].concat();
    let table: [(&str, &[u8], bool); 5] = [
        ("only the beginning", b"%PDF-", false),
        ("no trailer", b"%PDF-1.4\n1 0 obj<<>>endobj", false),
        ("wrong offset", &broken, false),
        ("wrong offset and a mention", &doubtful, true),
        ("loop", b"%PDF-1.4\nxref\n0 0\ntrailer<</Prev 9/Size 1>>\nstartxref\n9\n%%EOF", false),
    ];
    for (what, bytes, want) in table {
        assert_eq!(facts(bytes), PdfFacts { encrypted: want, pages: None }, "{what}");
    }
}

#[test]
fn only_the_first_bytes_make_a_pdf() {
    let table: [(&[u8], bool); 7] = [
        (b"%PDF-1.7", true),
        (b"%PDF-", true),
        (b"%PDF", false),
        (b"", false),
        (b" %PDF-1.4", false),
        (b"PK\x03\x04", false),
        (b"%pdf-1.4", false),
    ];
    for (bytes, want) in table {
        for piece in [1, 2, 5, 100] {
            assert_eq!(sniff(bytes, piece).is_pdf(), want, "{bytes:?} in pieces of {piece}");
        }
    }
}

/// A stream of one cross-reference row repeated a hundred million times, in a hundred kilobytes.
#[test]
fn a_bomb_is_given_up() {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..2_000 {
        std::io::Write::write_all(&mut zlib, &[0; 50_000]).unwrap();
    }
    let packed = zlib.finish().unwrap();
    assert!(packed.len() < 200_000);
    let mut bytes = b"%PDF-1.5\n".to_vec();
    let head = format!("1 0 obj<</Type/XRef/W[1 4 1]/Size 9/Root 2 0 R/Filter/FlateDecode/Length {}>>stream\n", packed.len());
    bytes.extend(head.as_bytes());
    bytes.extend(&packed);
    bytes.extend(b"\nendstream endobj\nstartxref\n9\n%%EOF");
    assert_eq!(inspect(&bytes, false, true), PdfFacts { encrypted: false, pages: None });

    // Each dictionary holds the next: the work grows with the square of the sections.
    let mut deep = b"%PDF-1.5\n".to_vec();
    deep.extend(b"xref 0 0 trailer<</Prev 9/A[".repeat(100_000));
    deep.extend(b"startxref\n9\n%%EOF");
    assert_eq!(inspect(&deep, true, true), PdfFacts { encrypted: true, pages: None });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_never_panics_nor_hides_encryption(
        shape in 0usize..3,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = save(encrypted(act(2), false), SHAPES[shape]);
        let keep = bytes.len() - cut.index(bytes.len()) % 40;
        bytes.truncate(keep);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let sniffer = sniff(&bytes, 100);
        let facts = inspect(&bytes, sniffer.mentions_encryption(), true);
        // Whoever damages the one mention hides it from every reader; otherwise it is found or doubted, unless the trailer
        // was rewritten into another that reads.
        if Document::load_metadata_mem(&bytes).is_ok_and(|oracle| oracle.encrypted) && sniffer.mentions_encryption() {
            prop_assert!(facts.encrypted);
        }
    }

    #[test]
    fn pieces_do_not_matter(text in "[/Encrypt ]{0,60}", piece in 1usize..12) {
        let bytes = format!("%PDF-{text} /Encryp{text}");
        prop_assert_eq!(sniff(bytes.as_bytes(), piece).mentions_encryption(), sniff(bytes.as_bytes(), 1 << 16).mentions_encryption());
    }
}
