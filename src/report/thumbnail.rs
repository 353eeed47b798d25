//! Small pictures inside a text: JPEG (ITU-T T.81) in a `data:` address (RFC 2397).
//!
//! It reads bytes of images and knows nothing of where they are shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, RgbImage};

/// Longer side of a thumbnail at most, in pixels.
pub const SIDE: u32 = 128;
/// Of 100: what is lost is not seen at this size.
const QUALITY: u8 = 85;

/// The address of an image of `height x width x 3` bytes, made smaller where it is larger than [`SIDE`]; `None` where its bytes
/// do not match its size.
pub fn data_address(pixels: &[u8], (height, width): (usize, usize)) -> Option<String> {
    let fits = height > 0 && width > 0 && height.checked_mul(width)?.checked_mul(3)? == pixels.len();
    let image = RgbImage::from_raw(u32::try_from(width).ok()?, u32::try_from(height).ok()?, pixels.to_vec());
    let image = image.filter(|_| fits)?;
    let scale = f64::from(SIDE) / height.max(width) as f64;
    let side = |size: usize| ((size as f64 * scale).round() as u32).max(1);
    let small =
        if scale < 1.0 { imageops::resize(&image, side(width), side(height), FilterType::Lanczos3) } else { image };
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    let encoded = encoder.encode(small.as_raw(), small.width(), small.height(), ExtendedColorType::Rgb8);
    encoded.ok().map(|()| format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The picture behind an address.
    pub fn decoded(address: &str) -> RgbImage {
        let bytes = STANDARD.decode(address.strip_prefix("data:image/jpeg;base64,").unwrap()).unwrap();
        image::load_from_memory(&bytes).unwrap().to_rgb8()
    }

    #[test]
    fn large_images_are_made_smaller_and_small_ones_stay() {
        let bytes: Vec<u8> = [200, 100, 50].repeat(400 * 200);
        for ((height, width), size) in [((400, 200), (64, 128)), ((200, 400), (128, 64))] {
            let picture = decoded(&data_address(&bytes, (height, width)).unwrap());
            assert_eq!(picture.dimensions(), size);
            // JPEG rounds in YCbCr
            assert!(picture.get_pixel(20, 20).0.iter().zip([200, 100, 50]).all(|(&a, b)| a.abs_diff(b) < 6));
        }
        assert_eq!(decoded(&data_address(&bytes[..3 * 30], (5, 6)).unwrap()).dimensions(), (6, 5));
        assert_eq!(decoded(&data_address(&bytes[..3 * 9000], (1, 9000)).unwrap()).dimensions(), (128, 1));
        for wrong in [(0, 0), (2, 2), (5, 7), (usize::MAX, 2)] {
            assert_eq!(data_address(&bytes[..3 * 30], wrong), None);
        }
    }
}
