//! Pixels of an image as f32 planes, plain or scaled integers. Memory: the wanted planes, and 1 MiB.

use std::io::{self, Read};

use fitskit::Header;

use super::header::{Bytes, Image};

/// Bytes read at a time; a multiple of every pixel's.
const PIECE: usize = 1 << 20;

/// The meaning of the file's numbers (FITS 4.0, 4.4.2.5): `BZERO + BSCALE number`, and the number that means no value.
pub(super) struct Scaling {
    scale: f64,
    zero: f64,
    blank: Option<i64>,
}

impl Scaling {
    pub fn of(header: &Header) -> Self {
        let number = |name, default| header.get_float(name).filter(|number| number.is_finite()).unwrap_or(default);
        Self { scale: number("BSCALE", 1.0), zero: number("BZERO", 0.0), blank: header.get_int("BLANK") }
    }

    pub fn integer(&self, number: i64) -> f32 {
        if self.blank == Some(number) { f32::NAN } else { self.float(number as f64) }
    }

    pub fn float(&self, number: f64) -> f32 {
        (self.zero + self.scale * number) as f32
    }
}

/// Big-endian numbers of `bitpix` as pixels.
pub(super) fn pixels<'a>(bytes: &'a [u8], bitpix: i64, scaling: &'a Scaling) -> Box<dyn Iterator<Item = f32> + 'a> {
    fn parts<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
        bytes.as_chunks::<N>().0.iter().copied()
    }
    match bitpix {
        8 => Box::new(bytes.iter().map(|&byte| scaling.integer(byte.into()))),
        16 => Box::new(parts(bytes).map(|number| scaling.integer(i16::from_be_bytes(number).into()))),
        32 => Box::new(parts(bytes).map(|number| scaling.integer(i32::from_be_bytes(number).into()))),
        64 => Box::new(parts(bytes).map(|number| scaling.integer(i64::from_be_bytes(number)))),
        -32 => Box::new(parts(bytes).map(|number| scaling.float(f32::from_be_bytes(number).into()))),
        _ => Box::new(parts(bytes).map(|number| scaling.float(f64::from_be_bytes(number)))),
    }
}

/// Reads the planes of these numbers, counted from 0, in this order; rows from the bottom, as FITS has them.
pub(super) fn read(bytes: &mut Bytes, image: &Image, wanted: &[u64]) -> io::Result<Vec<Vec<f32>>> {
    let scaling = Scaling::of(&image.header);
    let count = image.width * image.height;
    let width = image.bitpix.unsigned_abs() / 8;
    let mut planes = vec![Vec::new(); wanted.len()];
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|&place| wanted[place]);
    let mut next = 0;
    let mut piece = vec![0; PIECE];
    for place in order {
        bytes.skip((wanted[place] - next) * count as u64 * width)?;
        next = wanted[place] + 1;
        let mut left = count * width as usize;
        while left > 0 {
            // Nothing is reserved for bytes that the file does not have.
            let part = &mut piece[..left.min(PIECE)];
            bytes.read_exact(part)?;
            planes[place].extend(pixels(part, image.bitpix, &scaling));
            left -= part.len();
        }
    }
    Ok(planes)
}
