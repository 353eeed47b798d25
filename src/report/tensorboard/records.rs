//! TFRecord framing: length, checksum of the length, bytes, checksum of the bytes; all little-endian
//! (`tensorflow/core/lib/io/record_writer.h`).

/// Added to a checksum that is stored beside what it covers (`tensorflow/core/lib/hash/crc32c.h`).
const MASK: u32 = 0xa282_ead8;

/// CRC-32C (Castagnoli), rotated and shifted by [`MASK`].
fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK)
}

/// A record of these bytes.
pub(super) fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length).to_le_bytes(), bytes, &checksum(bytes).to_le_bytes()].concat()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The bytes of the first record, and what comes after it; `None` at the end. Panics where a checksum is wrong.
    pub fn first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (sum, rest) = rest.split_first_chunk::<4>().unwrap();
        assert_eq!(u32::from_le_bytes(*sum), checksum(length));
        let (record, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let (sum, rest) = rest.split_first_chunk::<4>().unwrap();
        assert_eq!(u32::from_le_bytes(*sum), checksum(record));
        Some((record, rest))
    }

    #[test]
    fn checksums_are_masked_crc32c() {
        // RFC 3720, B.4: 32 bytes of zeros
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        // ((crc >> 15) | (crc << 17)) + 0xa282ead8, worked out by hand
        assert_eq!(checksum(&[0; 32]), 0x0fd7_fffa);
        let record = record(b"galaxy");
        assert_eq!((record.len(), first(&record)), (8 + 4 + 6 + 4, Some((&b"galaxy"[..], &[][..]))));
    }
}
