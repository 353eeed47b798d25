//! Where the chunks of a data set lie in its file.
//!
//! libhdf5 finds its n-th chunk by counting up to it, so that asking for all of them takes time with the square of their
//! number: 13 ns for each chunk passed, 4 s for the 24 576 that h5py makes of Galaxy10 DECaLS. So the tables that lead to
//! them are read here, in the one form that libhdf5 writes unless it is told otherwise ("earliest", which h5py asks for
//! as well). HDF5 File Format Specification 3.0: superblock II.A; B-tree III.A.1; symbol table node III.B and entry
//! III.C; local heap III.D; object header IV.A.1.a; messages of layout IV.A.2.i and continuation IV.A.2.q.
//!
//! A table that is another's or makes no sense is no error here: libhdf5 is asked instead (`library.rs`). This file reads no
//! pixels and does not know libhdf5.

use std::fs::File;
use std::io;

/// Most levels of a tree: 64 children a node make 64^8 chunks.
const MOST_LEVELS: u8 = 8;
/// Most tables read on the way to the chunks' own tree: a damaged file may lead in circles.
const MOST_TABLES: usize = 4096;
/// Most bytes of tables that are read in all: those of a million chunks are 60 MB.
const MOST_BYTES: usize = 256 << 20;
/// Longest block of an object header that is read.
const LONGEST_HEADER: u64 = 1 << 20;

/// A chunk as it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    /// First byte in the file.
    pub address: u64,
    /// Bytes; 0 where the chunk was never written.
    pub length: u64,
    /// Bit n is set where filter n of the pipeline was left out.
    pub skipped: u32,
}

/// A chunk's first image, row, column and colour, and its place.
pub(super) type Found = ([u64; 4], Place);

/// All chunks of the root's data set `images` in `file`, at most `most`, in the order of its tables; none where the tables are
/// in another form or make no sense. Memory: what is found, and [`MOST_LEVELS`] nodes.
pub(super) fn walk(file: &File, chunk: [usize; 4], most: usize) -> Option<Vec<Found>> {
    Walk::new(file, most).images("images", chunk, most)
}

/// Reads `buffer.len()` bytes at `address`.
#[cfg(unix)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], address: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, address)
}

/// Reads `buffer.len()` bytes at `address`.
#[cfg(windows)]
pub(super) fn read_at(file: &File, mut buffer: &mut [u8], mut address: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, address) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => (buffer, address) = (&mut buffer[length..], address + length as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Bytes of one table; numbers are little-endian.
struct Table(Vec<u8>);

impl Table {
    fn starts_with(&self, bytes: &[u8]) -> Option<()> {
        self.0.starts_with(bytes).then_some(())
    }

    fn u8(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(*self.0.get(at..)?.first_chunk()?))
    }

    fn u32(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.0.get(at..)?.first_chunk()?))
    }

    fn u64(&self, at: usize) -> Option<u64> {
        Some(u64::from_le_bytes(*self.0.get(at..)?.first_chunk()?))
    }
}

/// Which tree a node belongs to, and the length of its keys.
#[derive(Clone, Copy)]
enum Tree {
    /// Leaves are symbol table nodes; a key is the place of a name.
    Group,
    /// Leaves are chunks; a key is length, filter mask and four offsets, and a fifth within an element.
    Chunks,
}

impl Tree {
    fn key_bytes(self) -> usize {
        match self {
            Self::Group => 8,
            Self::Chunks => 48,
        }
    }
}

/// The way from a file's start to a data set's chunks.
struct Walk<'a> {
    file: &'a File,
    /// Tables that may still be read.
    tables: usize,
    /// Bytes of them.
    bytes: usize,
}

impl<'a> Walk<'a> {
    fn new(file: &'a File, most: usize) -> Self {
        Self { file, tables: MOST_TABLES + most, bytes: MOST_BYTES }
    }

    fn read(&mut self, address: u64, length: usize) -> Option<Table> {
        self.tables = self.tables.checked_sub(1)?;
        self.bytes = self.bytes.checked_sub(length)?;
        let mut bytes = vec![0; length];
        read_at(self.file, &mut bytes, address).ok()?;
        Some(Table(bytes))
    }

    /// All chunks of the root's data set `name`, which has chunks of this shape and elements of one byte.
    fn images(&mut self, name: &str, chunk: [usize; 4], most: usize) -> Option<Vec<Found>> {
        let (tree, heap) = self.root()?;
        let header = self.member(tree, heap, name)?;
        let tree = self.layout(header, chunk)?;
        let mut found = Vec::new();
        self.leaves(Tree::Chunks, tree, None, &mut |_, key, address| {
            let offset = [key.u64(8)?, key.u64(16)?, key.u64(24)?, key.u64(32)?];
            found.push((offset, Place { address, length: u64::from(key.u32(0)?), skipped: key.u32(4)? }));
            (found.len() <= most).then_some(())
        })?;
        Some(found)
    }

    /// Tree and heap of the root group, from the superblock: version 0 or 1, numbers of 8 bytes, addresses from 0 on.
    fn root(&mut self) -> Option<(u64, u64)> {
        let block = self.read(0, 100)?;
        block.starts_with(&super::SIGNATURE)?;
        let more = match block.u8(8)? {
            0 => 0,
            1 => 4,
            _ => return None,
        };
        let plain = (block.u8(13)?, block.u8(14)?, block.u64(24 + more)?) == (8, 8, 0);
        // Kind 1: the entry itself holds the addresses of tree and heap.
        let kind = block.u32(56 + more + 16)?;
        (plain && kind == 1).then_some((block.u64(56 + more + 24)?, block.u64(56 + more + 32)?))
    }

    /// The object header of the group's member `name`.
    fn member(&mut self, tree: u64, heap: u64, name: &str) -> Option<u64> {
        let heap = self.read(heap, 32)?;
        heap.starts_with(b"HEAP\0")?;
        let names = heap.u64(24)?;
        let mut header = None;
        self.leaves(Tree::Group, tree, None, &mut |walk, _, address| {
            let node = walk.read(address, 8)?;
            node.starts_with(b"SNOD\x01")?;
            let entries = usize::from(node.u16(6)?);
            let node = walk.read(address, 8 + entries * 40)?;
            for entry in (0..entries).map(|index| 8 + index * 40) {
                let held = walk.read(names.checked_add(node.u64(entry)?)?, name.len() + 1);
                // Kind 2: a link by name, perhaps into another file.
                if held.is_some_and(|held| held.0.strip_suffix(b"\0") == Some(name.as_bytes()))
                    && node.u32(entry + 16)? != 2
                {
                    header = Some(node.u64(entry + 8)?);
                }
            }
            Some(())
        })?;
        header
    }

    /// The tree of the chunks, from the data set's object header.
    fn layout(&mut self, header: u64, chunk: [usize; 4]) -> Option<u64> {
        let start = self.read(header, 16)?;
        start.starts_with(&[1])?;
        let mut blocks = vec![(header.checked_add(16)?, u64::from(start.u32(8)?))];
        while let Some((address, length)) = blocks.pop() {
            let block = self.read(address, usize::try_from(length).ok().filter(|_| length <= LONGEST_HEADER)?)?;
            let mut at = 0;
            while let (Some(kind), Some(size)) = (block.u16(at), block.u16(at + 2)) {
                let message = at + 8;
                match kind {
                    0x08 => {
                        let mut sizes = [0; 5];
                        for (axis, size) in sizes.iter_mut().enumerate() {
                            *size = block.u32(message + 11 + 4 * axis)? as usize;
                        }
                        // Version 3, chunked, four axes and the bytes of an element.
                        let known = block.0.get(message..message + 3)? == [3, 2, 5];
                        return (known && sizes[..4] == chunk && sizes[4] == 1).then_some(block.u64(message + 3)?);
                    }
                    0x10 => blocks.push((block.u64(message)?, block.u64(message + 8)?)),
                    _ => {}
                }
                at = message + usize::from(size);
            }
        }
        None
    }

    /// Hands on key and child of all leaves of the tree at `address`, in order. `level` is what the node must have.
    fn leaves(
        &mut self,
        tree: Tree,
        address: u64,
        level: Option<u8>,
        leaf: &mut dyn FnMut(&mut Self, &Table, u64) -> Option<()>,
    ) -> Option<()> {
        let node = self.read(address, 24)?;
        let found = node.u8(5)?;
        node.starts_with(&[b'T', b'R', b'E', b'E', tree as u8])?;
        if level.is_some_and(|level| level != found) || found > MOST_LEVELS {
            return None;
        }
        let step = tree.key_bytes() + 8;
        let used = usize::from(node.u16(6)?);
        let node = self.read(address.checked_add(24)?, used * step)?;
        for entry in node.0.chunks_exact(step) {
            let key = Table(entry[..step - 8].to_vec());
            let child = u64::from_le_bytes(*entry.last_chunk()?);
            match found {
                0 => leaf(self, &key, child)?,
                _ => self.leaves(tree, child, Some(found - 1), leaf)?,
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::h5;
    use super::super::library::ask;
    use super::*;
    use std::io::Write;

    const SHAPE: [usize; 4] = [200, 2, 2, 3];
    const CHUNK: [usize; 4] = [1, 2, 1, 2];

    /// A file of 800 chunks, whose tree has two levels, and a member before and after `images`.
    fn file(folder: &std::path::Path) -> (std::path::PathBuf, Vec<Found>) {
        let path = folder.join("a.h5");
        let file = h5::File::with_options().with_fapl(|access| access.libver_earliest()).create(&path).unwrap();
        file.new_dataset_builder().with_data(&[1u8, 2]).create("ans").unwrap();
        let images = file.new_dataset::<u8>().chunk(CHUNK).deflate(1).shape(SHAPE).create("images").unwrap();
        images.write_raw(&[5u8; 2400]).unwrap();
        file.new_dataset_builder().with_data(&[1.0f32, 2.0]).create("ra").unwrap();
        file.flush().unwrap();
        let told: Vec<Found> = (0..800).map(|index| ask(&images, index).unwrap()).collect();
        (path, told)
    }

    fn walk(path: &std::path::Path) -> Option<Vec<Found>> {
        let file = File::open(path).unwrap();
        super::walk(&file, CHUNK, 800)
    }

    #[test]
    fn the_tables_say_what_libhdf5_says() {
        let folder = tempfile::tempdir().unwrap();
        let (path, told) = file(folder.path());
        assert_eq!(walk(&path).unwrap(), told);
        let file = File::open(&path).unwrap();
        let images = |name, chunk, most| Walk::new(&file, most).images(name, chunk, most);
        assert_eq!(images("images", [2, 2, 1, 2], 800), None, "another chunk's shape");
        assert_eq!(images("images", CHUNK, 799), None, "more chunks than there may be");
        assert_eq!(images("image", CHUNK, 800), None, "no such member");
        assert_eq!(images("ra", CHUNK, 800), None, "not chunked");
    }

    /// libhdf5 has no part in this: it does not survive all of it.
    #[test]
    fn damaged_tables_are_refused_or_read_but_end() {
        let folder = tempfile::tempdir().unwrap();
        let (path, told) = file(folder.path());
        let good = std::fs::read(&path).unwrap();
        let damaged = folder.path().join("b.h5");
        let (mut refused, mut other) = (0, 0);
        // One byte in seven, set to something else; then a file that is cut off.
        for at in (0..good.len()).step_by(7) {
            let mut bytes = good.clone();
            bytes[at] ^= [0xff, 0x01, 0x80][at % 3];
            File::create(&damaged).unwrap().write_all(&bytes).unwrap();
            match walk(&damaged) {
                None => refused += 1,
                Some(found) => other += usize::from(found != told),
            }
        }
        assert!(refused > 20 && other > 1000, "{refused} damages were refused, {other} read");
        for length in (0..good.len()).step_by(997) {
            std::fs::write(&damaged, &good[..length]).unwrap();
            let _ = walk(&damaged);
        }
    }
}
