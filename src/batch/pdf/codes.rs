//! The QR codes drawn on the first pages of a PDF, whether as vectors or as an image: pages are drawn and looked at.
//!
//! A renderer does much with what a hostile file says. Pages and pixels are bounded here, time and memory are not: whoever reads
//! files of others calls this in a process that may be killed (`messo leggi-avviso`).

use hayro::hayro_interpret::InterpreterSettings;
use hayro::hayro_syntax::Pdf;
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::{PixmapSettings, RenderCache, RenderSettings, render};

/// Pages looked at: a notice has one or two, with instalments a few.
const PAGES: usize = 4;
/// Pixels for a point: 144 dpi, at which a module of the code (25 mm, 33 modules) takes more than four pixels.
const SCALE: f32 = 2.0;
/// Points of the longer side of a page: an A3 has 1,191.
const LONGEST_SIDE: f32 = 2_000.0;

/// Why the codes of a file cannot be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodesError {
    #[error("not a readable PDF")]
    Unreadable,
    #[error("a page is too large")]
    TooLarge,
}

/// The texts of all codes found, in no particular order.
pub fn codes(bytes: Vec<u8>) -> Result<Vec<String>, CodesError> {
    let pdf = Pdf::new(bytes).map_err(|_| CodesError::Unreadable)?;
    let mut texts = Vec::new();
    let cache = RenderCache::new();
    for page in pdf.pages().iter().take(PAGES) {
        let (width, height) = page.render_dimensions();
        if !(width.max(height) <= LONGEST_SIDE && width >= 1.0 && height >= 1.0) {
            return Err(CodesError::TooLarge);
        }
        let size = PixmapSettings { x_scale: SCALE, y_scale: SCALE, bg_color: WHITE };
        let drawn = render(page, &cache, &InterpreterSettings::default(), &RenderSettings::default(), &size);
        let (width, height) = (usize::from(drawn.width()), usize::from(drawn.height()));
        let pixels = drawn.data_as_u8_slice();
        let luminance = |x: usize, y: usize| match pixels.get((y * width + x) * 4..).and_then(|rest| rest.get(..3)) {
            Some([red, green, blue]) => ((u32::from(*red) * 299 + u32::from(*green) * 587 + u32::from(*blue) * 114) / 1_000) as u8,
            _ => 255,
        };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, luminance);
        texts.extend(image.detect_grids().iter().filter_map(|grid| grid.decode().ok()).map(|(_, text)| text));
    }
    Ok(texts)
}
