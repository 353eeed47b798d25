//! Files made to do harm: each is refused in one sentence, before it costs anything.

use galaxy_gpu::data::fits::read;
use galaxy_gpu::data::tables::{Kind, TableReader, Wanted};
use galaxy_gpu::data::{Dataset, FitsOptions, LoadOptions, hdf5::Reader, read_picture};
use galaxy_gpu::interchange::{Import, import};
use galaxy_gpu::train::Weights;

use super::fits::cube;
use super::{Scratch, assert_says};

#[test]
fn hdf5_data_sets_in_other_files_are_refused() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path("passwd"), [7; 2 * 8 * 8 * 3]).unwrap();
    let other = hdf5::File::create(scratch.path("other.h5")).unwrap();
    let whole = other.new_dataset::<u8>().shape((2, 8, 8, 3)).create("images").unwrap();
    whole.write_raw(&[7u8; 2 * 8 * 8 * 3]).unwrap();
    drop(whole);
    other.new_dataset_builder().with_data(&[0i32, 1]).create("ans").unwrap();
    other.close().unwrap();
    for kind in ["stored", "images", "named", "ans"] {
        // a path of its own: a child of another test may hold the one before open, and with it its lock
        let path = scratch.path(&format!("{kind}.h5"));
        let file = hdf5::File::create(&path).unwrap();
        match kind {
            "images" => file.link_external("other.h5", "images", "images").unwrap(),
            "named" => {
                file.link_external("other.h5", "images", "far").unwrap();
                file.link_soft("/far", "images").unwrap();
            }
            _ => {
                let images = file.new_dataset::<u8>().shape((2, 8, 8, 3));
                let images = if kind == "stored" { images.external("passwd", 0, 384) } else { images };
                images.create("images").unwrap();
            }
        }
        match kind {
            "ans" => file.link_external("other.h5", "ans", "ans").unwrap(),
            _ => drop(file.new_dataset_builder().with_data(&[0i32, 1]).create("ans").unwrap()),
        }
        file.close().unwrap();
        let name = if kind == "ans" { "`ans`" } else { "`images`" };
        for reader in [Reader::InProcess, scratch.options().reader] {
            let options = LoadOptions { reader, ..scratch.options() };
            let error = Dataset::load(&path, &options).err().unwrap().to_string();
            assert_says(&error, &[".h5: ", name, " is kept in another file", "store it in the file itself"]);
        }
    }
    assert!(scratch.cached().is_empty());
}

/// Chunks that were never written take no room in the file, and must take none elsewhere.
#[test]
fn an_hdf5_file_is_no_larger_than_what_it_holds() {
    let scratch = Scratch::new();
    let path = scratch.path("sparse.h5");
    let file = hdf5::File::create(&path).unwrap();
    let (shape, chunk) = ((20_000, 64, 64, 3), (1, 64, 64, 3));
    let images = file.new_dataset::<u8>().shape(shape).chunk(chunk).deflate(1).create("images").unwrap();
    images.write_slice(&ndarray::Array4::<u8>::zeros((1, 64, 64, 3)), (0..1, .., .., ..)).unwrap();
    drop(images);
    file.new_dataset_builder().with_data(&vec![0i32; 20_000]).create("ans").unwrap();
    file.close().unwrap();
    let error = scratch.load(&path).err().unwrap().to_string();
    assert_says(
        &error,
        &["sparse.h5: claims 245760000 bytes of pixels, which cannot be in a file of ", "never written"],
    );
    assert!(scratch.cached().is_empty());
}

#[cfg(unix)]
#[test]
fn devices_and_sockets_are_no_files() {
    let scratch = Scratch::new();
    let socket = scratch.path("socket");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [socket, "/dev/zero".into()] {
        let says = |message: String| assert_says(&message, &[" is a device, a pipe or a socket; name a file"]);
        says(scratch.load(&path).err().unwrap().to_string());
        says(read_picture(&path, 8, 8).err().unwrap().to_string());
        says(galaxy_gpu::files::read_text(&path, 9).unwrap_err().to_string());
        says(galaxy_gpu::train::Weights::load(&path).err().unwrap().to_string());
        says(read(&[path], None, &FitsOptions::default()).err().unwrap().to_string());
    }
}

#[test]
fn a_fits_image_without_numbers_is_no_picture() {
    let scratch = Scratch::new();
    let path = scratch.path("a.fits");
    let refusal = |bytes: Vec<u8>| {
        std::fs::write(&path, bytes).unwrap();
        read(std::slice::from_ref(&path), None, &FitsOptions::default()).err().unwrap().to_string()
    };
    for hole in [f32::NAN, f32::INFINITY] {
        let mut image = cube(6, 5);
        image.data = hole.to_be_bytes().repeat(3 * 6 * 5);
        assert_says(&refusal(image.bytes()), &["a.fits: has no pixel with a value in every band"]);
        // one pixel is enough
        for band in 0..3 {
            image.data[band * 120..][..4].copy_from_slice(&0.5f32.to_be_bytes());
        }
        std::fs::write(&path, image.bytes()).unwrap();
        read(std::slice::from_ref(&path), None, &FitsOptions::default()).unwrap();
    }
    for (card, value) in [("BSCALE", "'abc'"), ("BSCALE", "0.0"), ("BSCALE", "NaN"), ("BZERO", "T"), ("BZERO", "1e999")]
    {
        let refused = refusal(cube(6, 5).with(card, value).bytes());
        assert_says(&refused, &["a.fits: ", &format!("{card} is {value}, which scales no number")]);
    }
}

/// What a repository holds where `git lfs pull` has not been run.
#[test]
fn pointers_of_git_lfs_are_named() {
    let scratch = Scratch::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n";
    let wanted = [Wanted { name: "path".into(), ucd: None, needed: true }];
    let tables = [("t.csv", Kind::Csv), ("t.vot", Kind::VoTable), ("t.parquet", Kind::Parquet), ("t.fits", Kind::Fits)];
    let mut refusals = Vec::new();
    for (name, kind) in tables {
        std::fs::write(scratch.path(name), pointer).unwrap();
        refusals.push(TableReader::open(&scratch.path(name), kind, &wanted).err().unwrap().to_string());
    }
    for name in ["a.png", "a.fits", "a.h5", "a.keras", "a.safetensors"] {
        std::fs::write(scratch.path(name), pointer).unwrap();
    }
    refusals.extend(["a.png", "a.fits"].map(|name| read_picture(&scratch.path(name), 8, 8).unwrap_err().to_string()));
    refusals.push(scratch.refusal(&scratch.path("a.h5")));
    refusals.push(Weights::load(&scratch.path("a.safetensors")).unwrap_err().to_string());
    refusals.push(import(&scratch.path("a.keras"), &Import::default()).err().unwrap().to_string());
    for refusal in refusals {
        assert_says(&refusal, &["is a pointer of Git LFS", "git lfs pull"]);
    }
}
