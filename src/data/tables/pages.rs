//! Unpacked sizes of the pages of a Parquet file, read from their headers before anything is unpacked: a page of a kilobyte may
//! claim to be 2 GiB. (Parquet's `PageHeader` in Thrift's compact protocol.)

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};

/// Most bytes of a page's header: it may hold the smallest and the largest value.
const LONGEST_HEADER: u64 = 16 << 20;
/// Deepest nesting of structures.
const DEEPEST: usize = 16;

/// Refuses a column's chunk, `length` bytes from `start`, that has a page of more than `most` bytes.
pub(super) fn check(file: &mut BufReader<File>, start: u64, length: u64, most: i64) -> Result<(), String> {
    let mut left = length;
    file.seek(SeekFrom::Start(start)).map_err(|error| error.to_string())?;
    while left > 0 {
        let mut header = Thrift { bytes: file.take(left.min(LONGEST_HEADER)) };
        let sizes = header.page_sizes().map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => "the header of a page is cut off".to_owned(),
            _ => format!("the header of a page is damaged ({error})"),
        })?;
        let read = left.min(LONGEST_HEADER) - header.bytes.limit();
        let [unpacked, packed] = sizes;
        if !(0..=most).contains(&unpacked) {
            return Err(format!("a page is of {unpacked} bytes, more than {most}; write it with smaller pages"));
        }
        let packed = u64::try_from(packed).ok().filter(|packed| *packed <= left - read);
        let packed = packed.ok_or("a page is longer than its column")?;
        file.seek_relative(packed as i64).map_err(|error| error.to_string())?;
        left -= read + packed;
    }
    Ok(())
}

struct Thrift<R> {
    bytes: R,
}

impl<R: Read> Thrift<R> {
    /// The second and third field of the structure that begins here: bytes unpacked and packed.
    fn page_sizes(&mut self) -> std::io::Result<[i64; 2]> {
        let (mut sizes, mut field) = ([-1; 2], 0);
        while let Some(kind) = self.field(&mut field)? {
            match (field, kind) {
                (2 | 3, 5) => sizes[field as usize - 2] = self.signed()?,
                _ => self.skip(kind, 0)?,
            }
        }
        Ok(sizes)
    }

    /// The type of the next field, whose number is set; `None` after the last.
    fn field(&mut self, number: &mut i64) -> std::io::Result<Option<u8>> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        *number = match head >> 4 {
            0 => self.signed()?,
            step => number.saturating_add(step.into()),
        };
        Ok(Some(head & 15))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> std::io::Result<()> {
        match kind {
            _ if depth > DEEPEST => Err(std::io::Error::other("it is too deep")),
            1 | 2 => Ok(()),
            3 => self.pass(1),
            4..=6 => self.signed().map(drop),
            7 => self.pass(8),
            8 => {
                let count = self.unsigned()?;
                self.pass(count)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.unsigned()? } else { (head >> 4).into() };
                // a truth value has a byte of its own in a list
                let kind = if matches!(head & 15, 1 | 2) { 3 } else { head & 15 };
                (0..count).try_for_each(|_| self.skip(kind, depth + 1))
            }
            12 => {
                let mut number = 0;
                while let Some(kind) = self.field(&mut number)? {
                    self.skip(kind, depth + 1)?;
                }
                Ok(())
            }
            other => Err(std::io::Error::other(format!("type {other}"))),
        }
    }

    fn pass(&mut self, count: u64) -> std::io::Result<()> {
        let passed = std::io::copy(&mut (&mut self.bytes).take(count), &mut std::io::sink())?;
        if passed < count { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn byte(&mut self) -> std::io::Result<u8> {
        let mut byte = [0];
        self.bytes.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn unsigned(&mut self) -> std::io::Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(number);
            }
        }
        Err(std::io::Error::other("a number has no end"))
    }

    fn signed(&mut self) -> std::io::Result<i64> {
        let number = self.unsigned()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LARGEST_PAGE: i64 = 64 << 20;

    /// A page's header as Thrift's compact protocol writes it, with a structure, a list and a binary to be passed over.
    fn page(unpacked: i64, packed: i64) -> Vec<u8> {
        let signed = |number: i64| {
            let (mut left, mut bytes) = ((number << 1 ^ number >> 63) as u64, Vec::new());
            while left > 127 {
                bytes.push(left as u8 | 128);
                left >>= 7;
            }
            bytes.push(left as u8);
            bytes
        };
        let others = [0x2c, 0x15, 0x02, 0x18, 3, b'x', b'y', b'z', 0x19, 0x21, 1, 2, 0, 0];
        [&[0x15, 0][..], &[0x15], &signed(unpacked), &[0x15], &signed(packed), &others].concat()
    }

    #[test]
    fn pages_that_unfold_too_far_are_refused() {
        let check = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&[b"PAR1", bytes].concat()).unwrap();
            super::check(&mut BufReader::new(file), 4, bytes.len() as u64, LARGEST_PAGE)
        };
        let sound = [page(1000, 3), vec![7; 3], page(LARGEST_PAGE, 2), vec![7; 2]].concat();
        check(&sound).unwrap();
        for (page, reason) in [
            (page(i64::from(i32::MAX), 0), "a page is of 2147483647 bytes"),
            (page(-1, 0), "a page is of -1 bytes"),
            (page(9, 4), "longer than its column"),
            (page(9, -4), "longer than its column"),
            (page(9, 0)[..7].to_vec(), "cut off"),
            (vec![0x1c; 100], "too deep"),
            (vec![0x15, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80], "no end"),
        ] {
            let message = check(&[&sound[..], &page].concat()).unwrap_err();
            assert!(message.contains(reason), "{message}");
        }
    }
}
