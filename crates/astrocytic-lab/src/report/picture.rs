//! Matrices as pictures.

use anyhow::Result;
use base64::Engine;
use maud::{Markup, html};

/// How values become shades.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Shade {
    /// Darkest at the largest value of each row; values below 0 are white.
    Rows,
    /// Blue above 0, orange below, white at 0; one scale for the whole.
    Signed,
}

/// A matrix, row by row, as an image with `cell` pixels a value.
pub(crate) fn picture(values: &[f64], columns: usize, cell: usize, shade: Shade, alt: &str) -> Result<Markup> {
    if columns == 0 || values.is_empty() {
        return Ok(html! {});
    }
    let (width, height) = (columns * cell, values.len() / columns * cell);
    let whole = values.iter().fold(f64::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let mut pixels = vec![255u8; width * height * 3];
    for (i, row) in values.chunks_exact(columns).enumerate() {
        let of_row = row.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        for (j, &value) in row.iter().enumerate() {
            // The square root makes small values visible.
            let colour = match shade {
                Shade::Rows => towards([0, 0, 0], (value.max(0.0) / of_row).sqrt()),
                Shade::Signed if value < 0.0 => towards([213, 94, 0], (-value / whole).sqrt()),
                Shade::Signed => towards([0, 114, 178], (value / whole).sqrt()),
            };
            for y in 0..cell {
                for x in 0..cell {
                    pixels[((i * cell + y) * width + j * cell + x) * 3..][..3].copy_from_slice(&colour);
                }
            }
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&pixels)?;
    let data = base64::engine::general_purpose::STANDARD.encode(file);
    let source = format!("data:image/png;base64,{data}");
    Ok(html! { img alt=(alt) width=(width) height=(height) src=(source); })
}

/// A colour, mixed with white.
fn towards(colour: [u8; 3], share: f64) -> [u8; 3] {
    colour.map(|part| (255.0 - share * f64::from(255 - part)) as u8)
}
