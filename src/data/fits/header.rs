//! Reads the headers of a FITS file up to the wanted image.
//!
//! FITS 4.0 (Pence et al., A&A 524, A42, 2010, and its successors at fits.gsfc.nasa.gov). Files come from strangers: a header
//! has at most 1000 blocks, a file at most 1000 parts, a packed one is inflated to at most 2 GiB, and sizes are checked against
//! the limits of pictures. Memory: one header.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Take};
use std::path::Path;

use bzip2::bufread::MultiBzDecoder;
use fitskit::{Header, Keyword};
use flate2::bufread::MultiGzDecoder;

use super::{FitsOptions, HduChoice};
use crate::data::limits::MOST_PIXELS;
use crate::data::source::LONGEST_SIDE;
use crate::files::open_file;
use crate::{Error, Result};

/// Bytes of a block, and of a card.
const BLOCK: usize = 2880;
const CARD: usize = 80;
/// Most blocks of a header, and most headers.
const MOST_BLOCKS: usize = 1000;
const MOST_HDUS: usize = 1000;
/// Most bytes that a packed file is inflated to.
const MOST_INFLATED: u64 = 2 << 30;

/// The bytes of a FITS file from the front, inflated where it is packed by gzip or bzip2.
pub(in crate::data) enum Bytes {
    Plain(BufReader<File>),
    Gzip(Box<Take<MultiGzDecoder<BufReader<File>>>>),
    Bzip2(Box<Take<MultiBzDecoder<BufReader<File>>>>),
}

impl Bytes {
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::file(path, format!("cannot be read ({error})"), "check that it is a readable file");
        let mut file = BufReader::with_capacity(1 << 16, open_file(path)?);
        Ok(match file.fill_buf().map_err(failed)? {
            [0x1f, 0x8b, ..] => Self::Gzip(Box::new(MultiGzDecoder::new(file).take(MOST_INFLATED))),
            [b'B', b'Z', b'h', ..] => Self::Bzip2(Box::new(MultiBzDecoder::new(file).take(MOST_INFLATED))),
            _ => Self::Plain(file),
        })
    }

    /// Skips so many bytes, or to the end.
    pub fn skip(&mut self, mut count: u64) -> io::Result<()> {
        if let Self::Plain(file) = self {
            while count > 0 {
                let step = count.min(i64::MAX as u64);
                file.seek_relative(step as i64)?;
                count -= step;
            }
            return Ok(());
        }
        io::copy(&mut self.take(count), &mut io::sink()).map(drop)
    }
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Gzip(bytes) => bytes.read(buffer),
            Self::Bzip2(bytes) => bytes.read(buffer),
        }
    }
}

/// How the pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// As an array.
    Plain,
    /// In a table of compressed tiles.
    Tiles,
}

/// An image whose pixels have not been read; its sizes are within the limits.
pub(super) struct Image {
    pub header: Header,
    pub coding: Coding,
    /// 8, 16, 32, 64, -32 or -64.
    pub bitpix: i64,
    pub width: usize,
    pub height: usize,
    pub planes: u64,
}

/// Opens the file and finds its image: the one that the options name, else the first. The bytes continue with its data.
///
/// # Errors
/// [`Error::File`] where it is no FITS file, has no such image, or one beyond the limits.
pub(super) fn find(path: &Path, options: &FitsOptions) -> Result<(Bytes, Image)> {
    let mut bytes = Bytes::open(path)?;
    let damaged = |error: &dyn std::fmt::Display| Error::file(path, format!("is damaged ({error})"), "fetch it again");
    let mut number = 0;
    while number < MOST_HDUS {
        let Some(header) = read_header(&mut bytes, number == 0).map_err(|problem| not_fits(path, &problem))? else {
            break;
        };
        let chosen = match &options.hdu {
            None => image_axes(&header).is_some(),
            Some(HduChoice::Number(wanted)) => *wanted == number,
            Some(HduChoice::Name(wanted)) => {
                header.get_string("EXTNAME").is_some_and(|name| name.trim().eq_ignore_ascii_case(wanted))
            }
        };
        if chosen {
            return Ok((bytes, image(path, header)?));
        }
        let length = data_length(&header).ok_or_else(|| damaged(&"a header whose sizes make no sense"))?;
        bytes.skip(length.next_multiple_of(BLOCK as u64)).map_err(|error| damaged(&error))?;
        number += 1;
    }
    Err(match &options.hdu {
        None => Error::file(path, "is a FITS file without an image", "name one that holds the planes g, r and z"),
        Some(choice) => {
            let problem = format!("has no part {choice} among its {number}");
            Error::file(path, problem, "name another with --fits-hdu (0 is the first)")
        }
    })
}

/// An image in a part of a file.
pub(super) struct Part {
    pub number: usize,
    /// The letter of its band, where it says one.
    pub band: Option<char>,
}

/// The images of all parts of a file.
///
/// # Errors
/// [`Error::File`] where a header cannot be read.
pub(super) fn parts(path: &Path) -> Result<Vec<Part>> {
    let mut bytes = Bytes::open(path)?;
    let mut found = Vec::new();
    for number in 0..MOST_HDUS {
        let header = read_header(&mut bytes, number == 0).map_err(|problem| not_fits(path, &problem))?;
        let Some(header) = header else { break };
        if image_axes(&header).is_some() {
            let says = |card| header.get_string(card).and_then(band_in);
            found.push(Part { number, band: ["EXTNAME", "BAND", "FILTER"].into_iter().find_map(says) });
        }
        let length = data_length(&header).ok_or_else(|| not_fits(path, "a header whose sizes make no sense"))?;
        let skipped = bytes.skip(length.next_multiple_of(BLOCK as u64));
        skipped.map_err(|error| not_fits(path, &error.to_string()))?;
    }
    Ok(found)
}

/// The band in a name such as `r`, `IMAGE_R` or `r DECam SDSS c0002 6415.0 1480.0`: its only word of one letter.
fn band_in(name: &str) -> Option<char> {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let mut letters = words.filter(|word| word.len() == 1).filter_map(|word| word.chars().next());
    let letters: Vec<char> = letters.by_ref().filter(char::is_ascii_alphabetic).collect();
    match letters[..] {
        [letter] => Some(letter.to_ascii_lowercase()),
        _ => None,
    }
}

fn not_fits(path: &Path, problem: &str) -> Error {
    Error::file(path, format!("is not a FITS file that can be read ({problem})"), "replace or remove it")
}

/// The next header; `None` at the end of the file, or of the FITS part of it.
fn read_header(bytes: &mut Bytes, first: bool) -> std::result::Result<Option<Header>, String> {
    let mut keywords: Vec<Keyword> = Vec::new();
    let opening: &[u8] = if first { b"SIMPLE  =" } else { b"XTENSION=" };
    for number in 0..MOST_BLOCKS {
        let mut block = [0; BLOCK];
        match (bytes.read_exact(&mut block), number, first) {
            (Ok(()), ..) => {}
            (Err(error), 0, false) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            (Err(error), ..) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err("it ends within a header".into());
            }
            (Err(error), ..) => return Err(error.to_string()),
        }
        if number == 0 && !block.starts_with(opening) {
            return if first { Err("it does not begin with SIMPLE".into()) } else { Ok(None) };
        }
        for card in block.chunks_exact(CARD) {
            if card.trim_ascii_end() == b"END" {
                return Ok(Some(Header { keywords }));
            }
            // Cards are ASCII; another character could be split in two.
            let card: [u8; CARD] = std::array::from_fn(|at| if card[at].is_ascii() { card[at] } else { b'?' });
            // Comments and cards without a meaning are ignored.
            let keyword = Keyword::parse(&card).ok().filter(|keyword| keyword.value.is_some());
            check_scaling(&card, keyword.as_ref())?;
            keywords.extend(keyword);
        }
    }
    Err(format!("a header does not end within {MOST_BLOCKS} blocks"))
}

/// Refuses a card whose number scales every pixel and is none; without a value it says nothing.
fn check_scaling(card: &[u8; CARD], keyword: Option<&Keyword>) -> std::result::Result<(), String> {
    let (name, rest) = card.split_at(8);
    let says = rest.strip_prefix(b"=").and_then(|rest| rest.split(|&byte| byte == b'/').next());
    let says = says.map_or(&b""[..], <[u8]>::trim_ascii);
    if says.is_empty() || ![&b"BSCALE"[..], b"BZERO"].contains(&name.trim_ascii_end()) {
        return Ok(());
    }
    let header = Header { keywords: keyword.cloned().into_iter().collect() };
    let name = String::from_utf8_lossy(name.trim_ascii_end());
    let number = header.get_float(&name).filter(|number| number.is_finite() && (*number != 0.0 || name == "BZERO"));
    match number {
        Some(_) => Ok(()),
        None => Err(format!("{name} is {}, which scales no number", String::from_utf8_lossy(says))),
    }
}

/// Lengths of the axes that these cards name; `None` where they make no sense.
fn axes(header: &Header, name: &str) -> Option<Vec<u64>> {
    let count = header.get_int(name).filter(|count| (0..=16).contains(count))?;
    (1..=count).map(|axis| u64::try_from(header.get_int(&format!("{name}{axis}"))?).ok()).collect()
}

/// Bytes of the data behind a header (FITS 4.0, equations 1 and 2), without padding.
pub(in crate::data) fn data_length(header: &Header) -> Option<u64> {
    let axes = axes(header, "NAXIS")?;
    if axes.is_empty() {
        return Some(0);
    }
    let number = |name, default| u64::try_from(header.get_int(name).unwrap_or(default)).ok();
    // random groups have a first axis of 0, which does not count
    let groups = axes[0] == 0 && header.get_bool("GROUPS") == Some(true);
    let values = axes.iter().skip(usize::from(groups)).try_fold(1u64, |product, axis| product.checked_mul(*axis))?;
    let bits = header.get_int("BITPIX").filter(|bits| [8, 16, 32, 64, -32, -64].contains(bits))?;
    let values = number("GCOUNT", 1)?.checked_mul(number("PCOUNT", 0)?.checked_add(values)?)?;
    values.checked_mul(bits.unsigned_abs() / 8).filter(|&length| length < 1 << 62)
}

/// How the header's pixels are stored and the lengths of their axes; `None` where it has none.
fn image_axes(header: &Header) -> Option<(Coding, Vec<u64>)> {
    let kind = header.get_string("XTENSION").map(str::trim);
    let (coding, axes) = match kind {
        None | Some("IMAGE") => (Coding::Plain, axes(header, "NAXIS")?),
        Some("BINTABLE") if header.get_bool("ZIMAGE") == Some(true) => (Coding::Tiles, axes(header, "ZNAXIS")?),
        _ => return None,
    };
    (axes.len() >= 2 && axes.iter().all(|&axis| axis > 0)).then_some((coding, axes))
}

/// Whether a header's data are an image: of two axes or more, so that text in a primary array of bytes is none.
pub(in crate::data) fn is_image(header: &Header) -> bool {
    image_axes(header).is_some()
}

/// Checks an image against the limits of pictures.
fn image(path: &Path, header: Header) -> Result<Image> {
    let none = || Error::file(path, "has no image in the part that was asked for", "name another with --fits-hdu");
    let (coding, axes) = image_axes(&header).ok_or_else(none)?;
    let bits = header.get_int(if coding == Coding::Plain { "BITPIX" } else { "ZBITPIX" });
    let bitpix = bits.filter(|bits| [8, 16, 32, 64, -32, -64].contains(bits)).ok_or_else(|| {
        not_fits(path, &format!("BITPIX is {}", bits.map_or("absent".into(), |bits| bits.to_string())))
    })?;
    let (width, height) = (axes[0], axes[1]);
    let longest = LONGEST_SIDE as u64;
    if width > longest || height > longest || width * height > MOST_PIXELS {
        let problem = format!("is an image of {height} x {width} pixels");
        let remedy = format!("make it smaller than {longest} pixels a side and {MOST_PIXELS} in all");
        return Err(Error::file(path, problem, remedy));
    }
    let planes = axes[2..].iter().try_fold(1u64, |product, axis| product.checked_mul(*axis));
    let planes = planes.filter(|planes| *planes <= 1 << 20 && axes[2..].iter().filter(|axis| **axis > 1).count() <= 1);
    let planes = planes.ok_or_else(|| {
        Error::file(path, format!("is an image of {} axes", axes.len()), "give a cube of the planes g, r and z")
    })?;
    Ok(Image { header, coding, bitpix, width: width as usize, height: height as usize, planes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_words_of_one_letter() {
        for (name, band) in [
            ("r", Some('r')),
            ("IMAGE_Z", Some('z')),
            ("HSC-G", Some('g')),
            ("r DECam SDSS c0002 6415.0 1480.0", Some('r')),
            ("SCI", None),
            ("g-r", None),
            ("", None),
        ] {
            assert_eq!(band_in(name), band, "{name}");
        }
    }
}
