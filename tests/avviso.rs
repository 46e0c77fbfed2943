//! `messo leggi-avviso`: the QR code of a printed notice, drawn as vectors and as an image; and files made to hurt who reads them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

#[path = "common/notice_pdf.rs"]
mod notice_pdf;

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use notice_pdf::{Drawn, notice_pdf, pdf};

const CODE: &str = "PAGOPA|002|302000000000000184|00907501001|12350";

fn read(bytes: &[u8]) -> Output {
    let mut reader = Command::new(env!("CARGO_BIN_EXE_messo"))
        .arg("leggi-avviso")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = reader.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    // One that has died does not listen.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = reader.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn codes(bytes: &[u8]) -> Vec<String> {
    let output = read(bytes);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn codes_are_found_however_they_are_drawn() {
    assert_eq!(codes(&notice_pdf(&[CODE], Drawn::Vectors)), [CODE]);
    assert_eq!(codes(&notice_pdf(&[CODE], Drawn::Image)), [CODE]);
    let other = "PAGOPA|002|347250123456789084|00907501001|6175";
    let mut both = codes(&notice_pdf(&[CODE, other], Drawn::Vectors));
    both.sort();
    assert_eq!(both, [CODE, other]);
    assert!(codes(&notice_pdf(&[], Drawn::Vectors)).is_empty());
}

#[test]
fn hostile_files_end_their_reader_and_nothing_else() {
    let page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /XObject << /X 5 0 R >> >> >>";
    let content = |text: &str| format!("<< /Length {} >>\nstream\n{text}\nendstream", text.len() + 1).into_bytes();
    let recursive = pdf(&[
        page.into(),
        content("/X Do"),
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 10 10] /Resources << /XObject << /X 5 0 R >> >> /Length 12 >>\nstream\n/X Do /X Do\nendstream".to_vec(),
    ]);
    let huge_image = pdf(&[
        page.into(),
        content("q 500 0 0 500 0 0 cm /X Do Q"),
        b"<< /Type /XObject /Subtype /Image /Width 60000 /Height 60000 /ColorSpace /DeviceRGB /BitsPerComponent 8 /Length 3 >>\nstream\nabc\nendstream"
            .to_vec(),
    ]);
    let wide = pdf(&["<< /Type /Page /Parent 2 0 R /MediaBox [0 0 60000 60000] /Contents 4 0 R >>".into(), content("0 0 1 1 re f")]);
    let many = content(&"0 0 595 842 re 0 0 595 842 re f* ".repeat(200_000));
    let slow = pdf(&[page.into(), many]);
    let whole = notice_pdf(&[CODE], Drawn::Image);
    let table: [(&str, &[u8]); 8] = [
        ("empty", b""),
        ("no PDF", b"MZ\x90\x00 not a PDF"),
        ("only a head", b"%PDF-1.7\n"),
        ("cut", &whole[..whole.len() / 2]),
        ("recursive", &recursive),
        ("huge image", &huge_image),
        ("wide page", &wide),
        ("slow", &slow),
    ];
    std::thread::scope(|scope| {
        for (name, bytes) in table {
            scope.spawn(move || {
                let begun = messo::clock::monotonic();
                let output = read(bytes);
                // Read without a code, refused, or stopped by the kernel: never a code out of nothing, never for ever.
                assert!(output.stdout.is_empty(), "{name}: {output:?}");
                assert!(begun.elapsed() < Duration::from_secs(60), "{name}: {:?}", begun.elapsed());
                assert!(output.stderr.len() < 2_000, "{name}: {output:?}");
            });
        }
    });
}
