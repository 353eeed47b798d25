//! Reads chunks as they are stored, with two functions of libhdf5 that the crate `hdf5` does not wrap. They find a chunk by its first
//! element, through the index. (`H5Dget_chunk_info` would count up to the n-th chunk, which takes the square of their number.)

use std::ffi::c_int;

use hdf5_sys::h5d::H5Dread_chunk1;
use hdf5_sys::h5i::hid_t;
use hdf5_sys::h5p::H5P_DEFAULT;

use super::chunks::Packed;
use super::h5;

unsafe extern "C" {
    /// Bytes of the chunk whose first element is at `offset`, 0 where it was never written. Since libhdf5 1.10.2.
    fn H5Dget_chunk_storage_size(data: hid_t, offset: *const u64, bytes: *mut u64) -> c_int;
}

/// The chunk of four axes whose first element is at `offset`, of at most `longest` bytes.
pub(super) fn read_chunk(data: &h5::Dataset, offset: [u64; 4], longest: usize) -> Result<Packed, String> {
    let (mut length, mut skipped) = (0, 0);
    h5::sync::sync(|| {
        // SAFETY: `data` is open, both pointers are valid for the call, and libhdf5 refuses offsets of other axes than the data
        // set's, which are four (`Opened::new`). It runs under the lock of the crate.
        let found = unsafe { H5Dget_chunk_storage_size(data.id(), offset.as_ptr(), &mut length) };
        match h5::h5check(found) {
            // Newer versions say 0 instead.
            Err(error) if error.to_string().contains("chunk storage is not allocated") => length = 0,
            Err(error) => return Err(format!("a chunk cannot be found: {error}")),
            Ok(_) => {}
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > longest {
            return Err(format!("a chunk claims to be {length} bytes long"));
        }
        let mut bytes = vec![0; length];
        if length > 0 {
            // SAFETY: as above, and `bytes` has room for the chunk: libhdf5 writes as many bytes as it has just said.
            let read = unsafe {
                H5Dread_chunk1(data.id(), H5P_DEFAULT, offset.as_ptr(), &mut skipped, bytes.as_mut_ptr().cast())
            };
            h5::h5check(read).map_err(|error| format!("a chunk of {length} bytes cannot be read: {error}"))?;
        }
        Ok(Packed { bytes, skipped })
    })
}
