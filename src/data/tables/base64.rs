//! Decodes the base64 text (RFC 4648) of an XML element, a buffer at a time.

use std::io::BufRead;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Decodes up to the next `<`, ignoring white space.
#[derive(Default)]
pub(super) struct Base64 {
    /// Characters of a group of four that is not complete.
    characters: Vec<u8>,
    bytes: Vec<u8>,
    /// How many of `bytes` have been taken.
    taken: usize,
    ended: bool,
}

impl Base64 {
    /// Whether there are no more bytes.
    pub fn is_at_end(&mut self, text: &mut impl BufRead) -> Result<bool, String> {
        while self.taken == self.bytes.len() && !self.ended {
            self.decode(text)?;
        }
        Ok(self.taken == self.bytes.len())
    }

    /// Takes the next `count` bytes, a part at a time.
    pub fn take(&mut self, text: &mut impl BufRead, count: u64, mut part: impl FnMut(&[u8])) -> Result<(), String> {
        let mut left = count;
        while left > 0 {
            if self.is_at_end(text)? {
                return Err("its data end within a row".into());
            }
            let here = (self.bytes.len() - self.taken).min(usize::try_from(left).unwrap_or(usize::MAX));
            part(&self.bytes[self.taken..self.taken + here]);
            self.taken += here;
            left -= here as u64;
        }
        Ok(())
    }

    fn decode(&mut self, text: &mut impl BufRead) -> Result<(), String> {
        let buffer = text.fill_buf().map_err(|error| error.to_string())?;
        let end = buffer.iter().position(|&byte| byte == b'<');
        self.ended = end.is_some() || buffer.is_empty();
        let count = end.unwrap_or(buffer.len());
        self.characters.extend(buffer[..count].iter().filter(|byte| !byte.is_ascii_whitespace()));
        text.consume(count);
        let whole = if self.ended { self.characters.len() } else { self.characters.len() / 4 * 4 };
        (self.taken, self.bytes) = (0, Vec::new());
        let decoded = STANDARD.decode_vec(&self.characters[..whole], &mut self.bytes);
        decoded.map_err(|error| format!("its data are no base64: {error}"))?;
        self.characters.drain(..whole);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_whatever_the_buffers() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = STANDARD.encode(&bytes).replace("k", "k\n ") + "</STREAM>";
        for capacity in [1, 3, 7, 1000] {
            let mut text = std::io::BufReader::with_capacity(capacity, text.as_bytes());
            let (mut base64, mut found) = (Base64::default(), Vec::new());
            for count in [0, 1, 100, 155] {
                base64.take(&mut text, count, |part| found.extend_from_slice(part)).unwrap();
            }
            assert!(found == bytes && base64.is_at_end(&mut text).unwrap());
            assert!(base64.take(&mut text, 1, |_| ()).unwrap_err().contains("within a row"));
        }
        assert!(Base64::default().is_at_end(&mut &b"AB*D<"[..]).is_err());
        assert!(Base64::default().is_at_end(&mut &b"ABC<"[..]).is_err(), "a group without its end");
    }
}
