//! PDFs of payment notices, small and whole: the code drawn as rectangles or as an image.

use qrcode::{Color, EcLevel, QrCode, Version};

/// How a code is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    Vectors,
    Image,
}

/// A page with these codes, 25 mm each.
pub fn notice_pdf(codes: &[&str], drawn: Drawn) -> Vec<u8> {
    let mut content = String::from("BT /F1 12 Tf 50 800 Td (Avviso di pagamento) Tj ET\n0 g\n");
    let (mut objects, mut named) = (Vec::new(), String::new());
    for (index, text) in codes.iter().enumerate() {
        let code = QrCode::with_version(text, Version::Normal(4), EcLevel::M).unwrap();
        let width = code.width();
        let module = 25.0 / 25.4 * 72.0 / width as f64;
        let (left, top) = (60.0 + 200.0 * index as f64, 500.0);
        match drawn {
            Drawn::Vectors => {
                for (x, y) in (0..width * width).map(|at| (at % width, at / width)).filter(|at| code[*at] == Color::Dark) {
                    content += &format!("{:.3} {:.3} {module:.3} {module:.3} re f\n", left + x as f64 * module, top - y as f64 * module);
                }
            }
            Drawn::Image => {
                let (margin, scale) = (4, 4);
                let side = (width + 2 * margin) * scale;
                let dark = |x: usize, y: usize| {
                    let inside = |at: usize| (at / scale).checked_sub(margin).filter(|at| *at < width);
                    matches!((inside(x), inside(y)), (Some(x), Some(y)) if code[(x, y)] == Color::Dark)
                };
                let pixels = (0..side * side).map(|at| if dark(at % side, at / side) { 0 } else { 255 });
                let mut image = format!(
                    "<< /Type /XObject /Subtype /Image /Width {side} /Height {side} /ColorSpace /DeviceGray /BitsPerComponent 8 \
                     /Length {} >>\nstream\n",
                    side * side
                )
                .into_bytes();
                image.extend(pixels);
                image.extend(b"\nendstream");
                named += &format!("/I{index} {} 0 R ", 6 + index);
                let points = module * (width + 2 * margin) as f64;
                content += &format!("q {points:.3} 0 0 {points:.3} {left} 430 cm /I{index} Do Q\n");
                objects.push(image);
            }
        }
    }
    let page = format!(
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> /XObject << {named}>> >> >>"
    );
    let stream = format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len() + 1);
    let mut all = vec![page.into_bytes(), stream.into_bytes(), b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_vec()];
    all.extend(objects);
    pdf(&all)
}

/// A file of one page: the objects from number 3 on, the page first.
pub fn pdf(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut all = vec![b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(), b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec()];
    all.extend_from_slice(objects);
    let (mut out, mut offsets) = (b"%PDF-1.4\n".to_vec(), Vec::new());
    for (index, object) in all.iter().enumerate() {
        offsets.push(out.len());
        out.extend(format!("{} 0 obj\n", index + 1).bytes());
        out.extend(object);
        out.extend(b"\nendobj\n");
    }
    let table = out.len();
    out.extend(format!("xref\n0 {}\n0000000000 65535 f \n", all.len() + 1).bytes());
    for offset in offsets {
        out.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    out.extend(format!("trailer << /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n", all.len() + 1).bytes());
    out
}
