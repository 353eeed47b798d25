//! Pixels of a tile-compressed image: a table whose rows are tiles (FITS 4.0, chapter 10; Pence et al., PASP 122, 1065, 2010).
//!
//! fitskit decodes Rice, H-compress and PLIO. Tables, gzip, quantized floats and the limits of tiles are handled here. Memory: the
//! table (at most 512 MiB), the wanted planes, and 40 bytes for each pixel of one tile.

use std::io::Read;
use std::sync::OnceLock;

use fitskit::tile_compress::{
    hcompress_decompress, plio_decompress, rice_decompress_i8, rice_decompress_i16, rice_decompress_i32,
};
use fitskit::{BinTable, CompressionType, Header};
use flate2::read::MultiGzDecoder;

use super::header::{Bytes, Image};
use super::image::{Scaling, pixels};
use crate::data::limits::{LARGEST_FILE, MOST_PIXELS};

/// A result whose error does not name the file.
type Outcome<T> = Result<T, String>;

/// Length of the sequence of random numbers that dithering takes its offsets from.
const RANDOMS: usize = 10_000;
/// The number for a true zero in `SUBTRACTIVE_DITHER_2`.
const TRUE_ZERO: i64 = -2_147_483_646;
/// The number for no value, where the file does not say.
const NULL: i64 = i32::MIN as i64;

/// The numbers of FITS 4.0, appendix I: Park and Miller's generator, seeded with 1.
fn randoms() -> &'static [f32] {
    static TABLE: OnceLock<Vec<f32>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let next = |seed: &u64| Some(16_807 * seed % 0x7fff_ffff);
        let seeds = std::iter::successors(next(&1), next).take(RANDOMS);
        seeds.map(|seed| (seed as f64 / 2_147_483_647.0) as f32).collect()
    })
}

/// Offsets of a tile's pixels, in order.
fn dither(tile: usize, first: i64) -> impl Iterator<Item = f64> {
    let start = |seed: usize| (randoms()[seed] * 500.0) as usize;
    let mut seed = (tile as i64).wrapping_add(first).wrapping_sub(1).rem_euclid(RANDOMS as i64) as usize;
    let mut next = start(seed);
    std::iter::from_fn(move || {
        if next == RANDOMS {
            seed = (seed + 1) % RANDOMS;
            next = start(seed);
        }
        next += 1;
        Some(randoms()[next - 1].into())
    })
}

/// A table of tiles.
struct Tiles<'a> {
    image: &'a Image,
    table: BinTable,
    method: CompressionType,
    /// Lengths of the axes and of a whole tile.
    axes: [usize; 3],
    tile: [usize; 3],
    scaling: Scaling,
}

/// Reads the planes of these numbers, counted from 0, in this order; rows from the bottom, as FITS has them.
pub(super) fn read(bytes: &mut Bytes, image: &Image, wanted: &[u64]) -> Outcome<Vec<Vec<f32>>> {
    let tiles = Tiles::read(bytes, image)?;
    let mut planes = vec![vec![0.0; image.width * image.height]; wanted.len()];
    let counts: [usize; 3] = std::array::from_fn(|axis| tiles.axes[axis].div_ceil(tiles.tile[axis]));
    let count: usize = counts.iter().product();
    if tiles.table.nrows < count {
        return Err(format!("it has {} tiles of {count}", tiles.table.nrows));
    }
    for number in 0..count {
        let place = [number % counts[0], number / counts[0] % counts[1], number / counts[0] / counts[1]];
        let first: [usize; 3] = std::array::from_fn(|axis| place[axis] * tiles.tile[axis]);
        let size: [usize; 3] = std::array::from_fn(|axis| tiles.tile[axis].min(tiles.axes[axis] - first[axis]));
        let holds = |plane: &u64| (first[2] as u64..(first[2] + size[2]) as u64).contains(plane);
        if !wanted.iter().any(holds) {
            continue;
        }
        let values = tiles.decode(number, size)?;
        for (into, plane) in wanted.iter().enumerate().filter(|(_, plane)| holds(plane)) {
            let layer = *plane as usize - first[2];
            for row in 0..size[1] {
                let from = (layer * size[1] + row) * size[0];
                let to = (first[1] + row) * image.width + first[0];
                planes[into][to..to + size[0]].copy_from_slice(&values[from..from + size[0]]);
            }
        }
    }
    Ok(planes)
}

impl<'a> Tiles<'a> {
    fn read(bytes: &mut Bytes, image: &'a Image) -> Outcome<Self> {
        let header = &image.header;
        let number = |name: &str| header.get_int(name).and_then(|number| usize::try_from(number).ok());
        let method = header.get_string("ZCMPTYPE").ok_or("ZCMPTYPE is missing")?;
        let method = CompressionType::parse(method).map_err(|error| error.to_string())?;
        let axes = [image.width, image.height, image.planes as usize];
        let names = ["ZTILE1", "ZTILE2", "ZTILE3"];
        let default = [image.width, 1, 1];
        let mut tile = [0; 3];
        for axis in 0..3 {
            tile[axis] = number(names[axis]).unwrap_or(default[axis]).min(axes[axis]);
        }
        if tile.contains(&0) || tile.iter().product::<usize>() > MOST_PIXELS as usize {
            return Err(format!("its tiles are {} x {} x {}", tile[0], tile[1], tile[2]));
        }
        let sizes = [number("NAXIS1"), number("NAXIS2"), Some(number("PCOUNT").unwrap_or(0))];
        let [Some(row), Some(rows), Some(heap)] = sizes else { return Err("a table without sizes".into()) };
        let length = row.checked_mul(rows).and_then(|table| table.checked_add(heap));
        let length = length.filter(|length| *length as u64 <= LARGEST_FILE);
        let length = length.ok_or("its table is larger than 512 MiB")?;
        if number("TFIELDS").is_none_or(|fields| fields > 999) {
            return Err("a table without columns".into());
        }
        // Nothing is reserved for bytes that the file does not have.
        let mut data = Vec::new();
        bytes.take(length as u64).read_to_end(&mut data).map_err(|error| error.to_string())?;
        if data.len() < length {
            return Err(format!("{} bytes of its table are missing", length - data.len()));
        }
        let table = BinTable::from_header_and_vec(header, data).map_err(|error| error.to_string())?;
        Ok(Self { image, table, method, axes, tile, scaling: Scaling::of(header) })
    }

    fn header(&self) -> &Header {
        &self.image.header
    }

    fn cell(&self, row: usize, name: &str) -> Option<(&[u8], String)> {
        let column = self.table.columns.iter().position(|column| column.name.trim().eq_ignore_ascii_case(name))?;
        Some((self.table.cell_bytes(row, column).ok()?, self.table.columns[column].format.to_tform_string()))
    }

    /// A number of this tile, from a column, or from the header for all tiles.
    fn number(&self, tile: usize, name: &str) -> Option<f64> {
        let found = self.cell(tile, name).and_then(|(bytes, form)| match form.trim_start_matches('1') {
            "D" => bytes.first_chunk().map(|bytes| f64::from_be_bytes(*bytes)),
            "E" => bytes.first_chunk().map(|bytes| f32::from_be_bytes(*bytes).into()),
            "J" => bytes.first_chunk().map(|bytes| i32::from_be_bytes(*bytes).into()),
            _ => None,
        });
        found.or_else(|| self.header().get_float(name))
    }

    /// The bytes of a variable-length array; empty where there are none.
    fn array(&self, tile: usize, name: &str) -> Outcome<&[u8]> {
        let Some((cell, form)) = self.cell(tile, name) else { return Ok(&[]) };
        let place: Option<[u64; 2]> = match cell.len() {
            8 => cell.as_chunks::<4>().0.iter().map(|part| u32::from_be_bytes(*part).into()).collect::<Vec<u64>>(),
            16 => cell.as_chunks::<8>().0.iter().map(|part| u64::from_be_bytes(*part)).collect(),
            _ => return Err(format!("the column {name} is no array")),
        }
        .try_into()
        .ok();
        let kind = form.split(['P', 'Q']).nth(1).and_then(|kind| kind.chars().next());
        let width = match kind {
            Some('B') => 1,
            Some('I') => 2,
            Some('J' | 'E') => 4,
            Some('K' | 'D') => 8,
            _ => return Err(format!("the column {name} holds {form}")),
        };
        // data need not begin where the table ends
        let table = (self.table.row_len * self.table.nrows) as u64;
        let gap = self.header().get_int("THEAP").map_or(0, |heap| (heap as u64).saturating_sub(table));
        let range = place.and_then(|[count, start]| {
            let start = start.checked_add(gap)?;
            let end = start.checked_add(count.checked_mul(width)?)?;
            Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
        });
        range.and_then(|range| self.table.heap.get(range)).ok_or_else(|| format!("tile {tile} lies outside the file"))
    }

    /// The pixels of a tile of this size.
    fn decode(&self, tile: usize, size: [usize; 3]) -> Outcome<Vec<f32>> {
        let count: usize = size.iter().product();
        let bitpix = self.image.bitpix;
        let data = self.array(tile, "COMPRESSED_DATA")?;
        let scale = self.number(tile, "ZSCALE").filter(|_| bitpix < 0);
        let lossless =
            bitpix < 0 && matches!(self.header().get_string("ZQUANTIZ"), Some(name) if name.trim() == "NONE");
        let found: Vec<f32> = if data.is_empty() {
            let raw = match self.array(tile, "GZIP_COMPRESSED_DATA")? {
                [] => self.array(tile, "UNCOMPRESSED_DATA")?.to_vec(),
                packed => inflate(packed, count * 8)?,
            };
            pixels(&raw, bitpix, &self.scaling).take(count).collect()
        } else if let Some(scale) = scale.filter(|_| !lossless) {
            let zero = self.number(tile, "ZZERO").unwrap_or(0.0);
            self.unquantize(tile, &self.integers(data, size, true)?, scale, zero)
        } else if bitpix < 0 {
            let width = bitpix.unsigned_abs() as usize / 8;
            pixels(&self.array_of(data, count, width)?.0, bitpix, &self.scaling).take(count).collect()
        } else {
            self.integers(data, size, false)?.into_iter().map(|number| self.scaling.integer(number)).collect()
        };
        if found.len() != count {
            return Err(format!("tile {tile} holds {} pixels of {count}", found.len()));
        }
        Ok(found)
    }

    /// Bytes of an array of numbers, and their width: `width`, or what the bytes give where that is 0.
    fn array_of(&self, data: &[u8], count: usize, width: usize) -> Outcome<(Vec<u8>, usize)> {
        let raw = match self.method {
            CompressionType::Gzip1 | CompressionType::Gzip2 => inflate(data, count * 8)?,
            CompressionType::NoCompress => data.to_vec(),
            other => return Err(format!("floats cannot be packed with {other:?}")),
        };
        let found = raw.len() / count;
        let width = if width == 0 { found } else { width };
        if !matches!(width, 1 | 2 | 4 | 8) || raw.len() < count * width {
            return Err(format!("a tile of {count} pixels has {} bytes", raw.len()));
        }
        if self.method != CompressionType::Gzip2 {
            return Ok((raw, width));
        }
        // The first bytes of all numbers come first, then the second ones, and so on.
        Ok((
            (0..count)
                .flat_map(|at| (0..width).map(move |byte| (at, byte)))
                .map(|(at, byte)| raw[byte * count + at])
                .collect(),
            width,
        ))
    }

    /// The packed numbers of a tile, before scaling.
    fn integers(&self, data: &[u8], size: [usize; 3], quantized: bool) -> Outcome<Vec<i64>> {
        let count: usize = size.iter().product();
        let wide = |numbers: Vec<i32>| numbers.into_iter().map(i64::from).collect();
        let unsound = |error: fitskit::Error| error.to_string();
        match self.method {
            CompressionType::Rice1 => {
                let block = self.parameter("BLOCKSIZE").unwrap_or(32).clamp(1, 1 << 16) as usize;
                match self.parameter("BYTEPIX").unwrap_or(4) {
                    1 => rice_decompress_i8(data, count, block).map(|found| found.into_iter().map(i64::from).collect()),
                    2 => {
                        rice_decompress_i16(data, count, block).map(|found| found.into_iter().map(i64::from).collect())
                    }
                    4 => rice_decompress_i32(data, count, block).map(wide),
                    other => return Err(format!("BYTEPIX is {other}")),
                }
                .map_err(unsound)
            }
            CompressionType::Hcompress1 => {
                // The decoder would believe the size in the stream.
                let side = |at: usize| {
                    data.get(at..at + 4).and_then(|part| part.first_chunk()).map(|p| i32::from_be_bytes(*p))
                };
                let sides =
                    [side(2), side(6)].map(|side| side.and_then(|side| usize::try_from(side).ok()).unwrap_or(0));
                if sides != [size[1] * size[2], size[0]] {
                    return Err(format!(
                        "a tile of {} x {} pixels says it has {} x {}",
                        size[1], size[0], sides[0], sides[1]
                    ));
                }
                let wide = !matches!(self.image.bitpix, 8 | 16);
                let smooth = self.parameter("SMOOTH").unwrap_or(0);
                hcompress_decompress(data, wide, smooth as i32).map(|(found, ..)| found).map_err(unsound)
            }
            CompressionType::Plio1 => {
                let words: Vec<i16> = data.as_chunks::<2>().0.iter().map(|word| i16::from_be_bytes(*word)).collect();
                plio_decompress(&words, count).map(wide).map_err(unsound)
            }
            _ => {
                let width = if quantized { 0 } else { self.image.bitpix as usize / 8 };
                let (raw, width) = self.array_of(data, count, width)?;
                let number = |bytes: &[u8]| match *bytes {
                    // Bytes are unsigned, wider numbers are signed.
                    [byte] => byte.into(),
                    [a, b] => i16::from_be_bytes([a, b]).into(),
                    [a, b, c, d] => i32::from_be_bytes([a, b, c, d]).into(),
                    _ => bytes.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes)),
                };
                Ok(raw.chunks_exact(width).take(count).map(number).collect())
            }
        }
    }

    /// A parameter of the method, by its name in `ZNAMEn`.
    fn parameter(&self, name: &str) -> Option<i64> {
        let is = |n: &i32| self.header().get_string(&format!("ZNAME{n}")).is_some_and(|found| found.trim() == name);
        (1..=20).find(is).and_then(|n| self.header().get_int(&format!("ZVAL{n}")))
    }

    /// Quantized numbers as the floats they stand for (FITS 4.0, 10.2).
    fn unquantize(&self, tile: usize, numbers: &[i64], scale: f64, zero: f64) -> Vec<f32> {
        let header = self.header();
        let blank = self.number(tile, "ZBLANK").map_or(NULL, |blank| blank as i64);
        let method = header.get_string("ZQUANTIZ").map(str::trim).unwrap_or_default();
        let dithered = method.starts_with("SUBTRACTIVE_DITHER");
        let zeros = method == "SUBTRACTIVE_DITHER_2";
        let offsets = dither(tile, header.get_int("ZDITHER0").unwrap_or(1));
        let value = |(&number, offset): (&i64, f64)| match number {
            _ if number == blank => f32::NAN,
            TRUE_ZERO if zeros => self.scaling.float(0.0),
            _ if dithered => self.scaling.float((number as f64 - offset + 0.5) * scale + zero),
            _ => self.scaling.float(number as f64 * scale + zero),
        };
        numbers.iter().zip(offsets).map(value).collect()
    }
}

/// Inflates gzip'ed bytes to at most so many.
fn inflate(packed: &[u8], most: usize) -> Outcome<Vec<u8>> {
    let mut raw = Vec::new();
    MultiGzDecoder::new(packed).take(most as u64).read_to_end(&mut raw).map_err(|error| error.to_string())?;
    Ok(raw)
}
