//! Several hundred damaged files, made from sound ones with fixed seeds: every reader takes or refuses each of them, with one
//! sentence that names it. A panic fails the test; HDF5 files are read in the child process, as `galaxy-gpu` does it. With
//! `GALAXY_GPU_SEEDS=FOLDER` the sound files are left there: they are the seeds of `fuzz/`.

use std::fs;
use std::path::Path;

use galaxy_gpu::data::{FitsOptions, Sky, Split, picture, read_picture, write_hdf5};
use galaxy_gpu::kernels::Precision;
use galaxy_gpu::model::{Model, initialise};
use galaxy_gpu::train::history::{EpochRecord, History};
use galaxy_gpu::train::{Card, PREPROCESSING, Weights};
use image::{DynamicImage, ImageBuffer, Rgb, RgbImage, Rgba};

use super::{Scratch, dataset};

/// Damages, from a seed (SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
struct Damage(u64);

impl Damage {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A place in a file: the first 4096 bytes, where tables are, as often as all others.
    fn place(&mut self, length: usize) -> usize {
        let end = if self.below(2) == 0 { length.min(4096) } else { length };
        self.below(end)
    }

    /// One damaged copy of `bytes`.
    fn of(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut copy = bytes.to_vec();
        match self.below(8) {
            0 => copy.truncate(self.below(bytes.len())),
            1 | 2 => {
                for _ in 0..1 + self.below(4) {
                    let at = self.place(copy.len());
                    copy[at] ^= 1 << self.below(8);
                }
            }
            3..=5 => {
                // A number, perhaps a length or an address, becomes another one; either order of bytes.
                let numbers = [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, i64::MAX as u64, u64::MAX];
                let number = numbers[self.below(numbers.len())];
                let width = [1, 2, 4, 8][self.below(4)];
                let number = if self.below(2) == 0 { number.to_le_bytes() } else { number.to_be_bytes() };
                let number = if number[0] == 0 { &number[8 - width..] } else { &number[..width] };
                let at = self.place(copy.len()) / width * width;
                for (byte, value) in copy[at..].iter_mut().zip(number) {
                    *byte = *value;
                }
            }
            6 => {
                let (from, to) = (self.place(copy.len()), self.place(copy.len()));
                let length = 64.min(copy.len() - from.max(to));
                copy.copy_within(from..from + length, to);
            }
            _ => {
                let at = self.place(copy.len());
                let length = (1 + self.below(64)).min(copy.len() - at);
                copy.drain(at..at + length);
            }
        }
        copy
    }
}

/// Gives `read` `count` damaged copies of the file at `path` and returns how many it refused.
pub(crate) fn survive(path: &Path, count: usize, read: impl Fn(&Path) -> galaxy_gpu::Result<()>) -> usize {
    read(path).unwrap();
    let sound = fs::read(path).unwrap();
    if let Some(folder) = std::env::var_os("GALAXY_GPU_SEEDS") {
        fs::copy(path, Path::new(&folder).join(path.file_name().unwrap())).unwrap();
    }
    let mut damage = Damage(blake3::hash(path.file_name().unwrap().as_encoded_bytes()).as_bytes()[0].into());
    let name = path.file_stem().unwrap().to_str().unwrap();
    let ending = path.extension().unwrap().to_str().unwrap();
    let mut refused = 0;
    for number in 0..count {
        let copy = path.with_file_name(format!("{name}-{number}.{ending}"));
        fs::write(&copy, damage.of(&sound)).unwrap();
        if let Err(error) = read(&copy) {
            let message = error.to_string();
            let named = message.contains(copy.file_name().unwrap().to_str().unwrap());
            assert!(named, "does not name {}: {message}", copy.display());
            assert!(!message.contains(char::is_control) && message.len() < 4000, "{message:?}");
            refused += 1;
        }
        fs::remove_file(&copy).unwrap();
    }
    assert!(refused > 0, "no damage of {} was noticed", path.display());
    refused
}

/// Without a cache, so that a copy that is read twice is read twice.
fn read_hdf5(scratch: &Scratch, path: &Path) -> galaxy_gpu::Result<()> {
    let loaded = scratch.load(path).map(|images| assert_eq!(images.pixels.len(), images.len() * images.image_bytes()));
    let _ = fs::remove_dir_all(scratch.path("cache"));
    loaded
}

#[test]
fn hdf5_as_this_program_writes_it() {
    let scratch = Scratch::new();
    let path = scratch.path("own.h5");
    let mut images = dataset(&[0, 1, 2, 1, 0, 2], 12, 10);
    images.sky = Some((0..6).map(|i| Sky { ra: f64::from(i), dec: -1.0 }).collect());
    write_hdf5(&path, &images).unwrap();
    survive(&path, 120, |path| read_hdf5(&scratch, path));
}

#[test]
fn hdf5_of_other_kinds() {
    let scratch = Scratch::new();
    let write = |name: &str, latest: bool, build: &dyn Fn(hdf5::DatasetBuilderEmpty) -> hdf5::DatasetBuilderEmpty| {
        let options = hdf5::File::with_options();
        let path = scratch.path(name);
        let file = if latest {
            options.clone().with_fapl(|access| access.libver_latest()).create(&path)
        } else {
            options.create(&path)
        };
        let file = file.unwrap();
        let images = build(file.new_dataset::<u8>()).shape((9, 8, 7, 3)).create("images").unwrap();
        images.write_raw(&(0..9 * 8 * 7 * 3).map(|i| (i * i % 251) as u8).collect::<Vec<u8>>()).unwrap();
        file.new_dataset_builder().with_data(&[0i64, 1, 0, 1, 0, 1, 0, 1, 1]).create("ans").unwrap();
        let names: Vec<hdf5::types::VarLenUnicode> = ["a", "b"].map(|name| name.parse().unwrap()).to_vec();
        file.new_attr_builder().with_data(&names).create("class_names").unwrap();
        file.close().unwrap();
        path
    };
    for (path, count) in [
        (write("plain.h5", false, &|images| images.no_chunk()), 60),
        (write("new.h5", true, &|images| images.chunk((2, 8, 7, 1)).shuffle().deflate(6)), 60),
        (write("summed.h5", false, &|images| images.chunk((4, 8, 7, 3)).deflate(6).fletcher32()), 60),
    ] {
        survive(&path, count, |path| read_hdf5(&scratch, path));
    }
}

/// The damage that was seen to crash libhdf5 1.10, and its neighbours: every byte of the first tables.
#[test]
fn hdf5_tables_byte_by_byte() {
    let scratch = Scratch::new();
    let path = scratch.path("table.h5");
    write_hdf5(&path, &dataset(&[0, 1, 0, 1], 16, 16)).unwrap();
    let sound = fs::read(&path).unwrap();
    let mut crashes = 0;
    for at in (960..1100.min(sound.len())).step_by(2) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x80;
        fs::write(&path, bytes).unwrap();
        if let Err(error) = read_hdf5(&scratch, &path) {
            let message = error.to_string();
            assert!(message.contains("table.h5: ") && !message.contains('\n'), "{message}");
            crashes += usize::from(message.contains("crashed"));
        }
    }
    println!("{crashes} of these crash the libhdf5 that is here");
}

#[test]
fn pictures() {
    let scratch = Scratch::new();
    let save = |name: &str, picture: DynamicImage| {
        picture.save(scratch.path(name)).unwrap();
        scratch.path(name)
    };
    let colours = RgbImage::from_fn(40, 30, |x, y| Rgb([(x * y) as u8, (x + y) as u8, (x * 5) as u8]));
    let deep = ImageBuffer::from_fn(20, 20, |x, y| Rgba([(x * 3000) as u16, (y * 3000) as u16, 7, 40_000]));
    for path in [
        save("colour.png", colours.clone().into()),
        save("grey.png", DynamicImage::from(colours.clone()).into_luma8().into()),
        save("deep.png", DynamicImage::ImageRgba16(deep)),
        save("photo.jpg", colours.clone().into()),
        save("grey.jpg", DynamicImage::from(colours).into_luma8().into()),
    ] {
        survive(&path, 40, |path| {
            picture::picture_facts(path, &FitsOptions::default())?;
            read_picture(path, 8, 8).map(|pixels| assert_eq!(pixels.len(), 192))
        });
    }
}

#[test]
fn fits_images() {
    let scratch = Scratch::new();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(scratch.path(name), bytes).unwrap();
        scratch.path(name)
    };
    let plain = super::fits::cube(20, 24).bytes();
    for (path, count) in [
        (write("plain.fits", &plain), 150),
        (write("packed.gz", &super::fits::gzip(&plain)), 40),
        (write("rice.fz", &super::fits::tiles(20, 24, fitskit::CompressionType::Rice1)), 150),
        (write("gzip.fz", &super::fits::tiles(20, 24, fitskit::CompressionType::Gzip2)), 60),
        (write("wavelets.fz", &super::fits::h_compressed()), 100),
    ] {
        survive(&path, count, |path| {
            picture::picture_facts(path, &FitsOptions::default())?;
            read_picture(path, 8, 8).map(|pixels| assert_eq!(pixels.len(), 192))
        });
    }
}

#[test]
fn weights() {
    let scratch = Scratch::new();
    let model = Model::smallest(1);
    let network = model.build(8, 8, 2).unwrap();
    let tensors = network.parameters().enumerate().map(|(i, parameter)| initialise(parameter, i, 1)).collect();
    let card = Card {
        model,
        classes: ["a", "b"].map(String::from).to_vec(),
        height: 8,
        width: 8,
        preprocessing: PREPROCESSING.into(),
        data: "test".into(),
        seed: 1,
        split_hash: "abc".into(),
        validation: 0.0,
        chosen_by: Default::default(),
        precision: Precision::F32,
        shaders: None,
        epochs: 2,
        step: 34,
        val_accuracy: Some(0.5),
    };
    let path = scratch.path("weights.safetensors");
    Weights { card, tensors }.save(&path).unwrap();
    survive(&path, 100, |path| Weights::load(path).map(drop));
}

#[test]
fn models() {
    let scratch = Scratch::new();
    let path = scratch.path("model.toml");
    fs::write(&path, Model::preset("conv4").unwrap().to_toml()).unwrap();
    survive(&path, 100, |path| {
        let model = Model::load(path.to_str().unwrap())?;
        // What it says of itself is not the file's fault any more: no name is asked for.
        if let Ok(network) = model.build(64, 64, 10) {
            let _ = (network.parameter_count(), network.forward_flops());
        }
        Ok(())
    });
    fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
    let message = Model::load(path.to_str().unwrap()).unwrap_err().to_string();
    assert!(message.contains("model.toml: is 1048577 bytes long, more than 1048576"), "{message}");
}

#[test]
fn tables() {
    let scratch = Scratch::new();
    let images = dataset(&[0, 1, 2, 1, 0, 2, 1, 0, 2, 0], 1, 1);
    let path = scratch.path("split.csv");
    let row = |(index, label): (usize, &u32)| format!("{index},{label},{}\n", if index < 7 { "train" } else { "test" });
    let rows: String = images.labels.iter().enumerate().map(row).collect();
    fs::write(&path, "index,ans,split\n".to_owned() + &rows).unwrap();
    survive(&path, 100, |path| Split::from_csv(path, &images).map(drop));
    fs::write(&path, vec![b','; 1 << 17]).unwrap();
    let message = Split::from_csv(&path, &images).unwrap_err().to_string();
    assert!(message.contains("split.csv: is 131072 bytes long"), "{message}");

    let path = scratch.path("history.csv");
    let record = |epoch: u32| EpochRecord {
        epoch,
        loss: 1.25,
        accuracy: 0.5,
        val_loss: 1.0 / 3.0,
        val_accuracy: 0.25,
        seconds: 9.0,
    };
    let rows: String = (1..9).map(|epoch| format!("{epoch},1.25,0.5,{},0.25,9\n", record(epoch).val_loss)).collect();
    fs::write(&path, "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n".to_owned() + &rows).unwrap();
    assert_eq!(History::read(&path).unwrap().epochs[7], record(8));
    survive(&path, 60, |path| History::read(path).map(drop));
}
