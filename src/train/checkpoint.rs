//! Checkpoints: the state of a training and its identity, in one file that is complete or does not exist.
//!
//! `RUN/checkpoint/current.safetensors` is the newest one. `previous.safetensors`, the one before, stays until the newer one is
//! safe on disk. A checkpoint is a safetensors file of the device's tensors (within an epoch also those of the last good state)
//! and of the sums of the running epoch (`totals`, f64, as JSON has no NaN). Everything else is a description in its metadata, with
//! a BLAKE3 hash of everything that is read back.

use super::history::History;
use super::session::Totals;
use super::state::{DeviceTensor, Standing, State, dtype, element};
use super::weights::Card;
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::files::{open_bounded, sync_folder, write_whole};
use crate::model::Model;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

/// The only key of the metadata.
const KEY: &str = "galaxy-gpu checkpoint";
/// Version of the layout that is written.
const VERSION: u32 = 3;
/// Largest file that is read, in bytes.
const LARGEST_FILE: u64 = 32 << 30;
/// Longest header of the format, in bytes.
const LONGEST_HEADER: u64 = 100 << 20;
const TOTALS: &str = "totals";
/// Prefix for the names of the tensors of [`State::sound`].
const SOUND: &str = "sound/";
/// Bytes of pixels that the hash of a data set covers: all of them, or those of images spread evenly over the data set.
const HASHED_BYTES: usize = 4 << 30;

/// What a training is, as opposed to its progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Version of the program.
    pub program: String,
    /// Adapter and driver.
    pub device: String,
    /// Model, classes, size, names of the data, seed and split.
    pub card: Card,
    /// Images of the data set.
    pub images: usize,
    /// [`data_hash`] of the data set.
    pub data_hash: String,
    /// Every setting of the training, as its caller writes them.
    pub options: serde_json::Value,
}

/// A training that can be resumed.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What the training is.
    pub identity: Identity,
    /// Its progress, and what the device holds.
    pub state: Arc<State>,
}

/// Hash of labels, class names and pixels (BLAKE3, 16 hexadecimal digits). If there are more than 4 GiB of pixels, it covers 4 GiB of
/// images at equal distances.
pub fn data_hash(dataset: &Dataset) -> String {
    hash_of_data(dataset, HASHED_BYTES)
}

fn hash_of_data(dataset: &Dataset, bytes: usize) -> String {
    let mut hasher = blake3::Hasher::new();
    let facts = [dataset.len(), dataset.height, dataset.width].map(|number| number as u64);
    hasher.update(bytemuck::cast_slice(&facts));
    for name in &dataset.classes {
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    }
    hasher.update_rayon(bytemuck::cast_slice(&dataset.labels));
    if dataset.pixels.len() <= bytes {
        hasher.update_rayon(&dataset.pixels);
    } else {
        let images = (bytes / dataset.image_bytes().max(1)).max(1);
        for number in 0..images {
            hasher.update(dataset.image((number as u128 * dataset.len() as u128 / images as u128) as usize));
        }
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

impl Identity {
    /// Refuses a model, data or a split other than the training's own, and names it.
    ///
    /// # Errors
    /// [`Error::Data`] and [`Error::Setting`].
    pub fn check(&self, model: &Model, dataset: &Dataset, split: &Split) -> Result<()> {
        let card = &self.card;
        if *model != card.model {
            let allowed = format!("left out or the run's own, {}, with the same layers", card.model.name);
            return Err(Error::setting("--model", format!("\"{}\"", model.name), allowed));
        }
        let hash = data_hash(dataset);
        if (dataset.len(), &hash) != (self.images, &self.data_hash) {
            let found = format!("{} images of {}x{}, hash {hash}", dataset.len(), dataset.height, dataset.width);
            let own = format!("{} images of {}x{}, hash {}", self.images, card.height, card.width, self.data_hash);
            let problem = format!("it holds {found}; the run was trained on {}, {own}", card.data);
            return Err(Error::data(&dataset.name, problem, "name the run's own data with --data, unchanged"));
        }
        if split.hash != card.split_hash {
            let problem = format!("this split has the hash {}, the run's has {}", split.hash, card.split_hash);
            return Err(Error::data(&split.source, problem, "name the run's own split with --split, unchanged"));
        }
        Ok(())
    }
}

/// The metadata.
#[derive(Serialize, Deserialize)]
struct Sealed {
    version: u32,
    /// Hash of the description and the tensors.
    checksum: String,
    /// A [`Description`] as JSON, stored as text so that its bytes are those that were hashed.
    description: String,
}

#[derive(Serialize, Deserialize)]
struct Description {
    identity: Identity,
    counts: Counts,
    sound: Option<Counts>,
    /// The text of the history file.
    history: String,
}

/// The whole numbers of a [`Standing`].
#[derive(Serialize, Deserialize)]
struct Counts {
    epochs: usize,
    steps: u32,
    refused: u32,
    streak: u32,
    roll_backs: u32,
    position: usize,
}

impl Counts {
    fn of(standing: &Standing) -> Self {
        let &Standing { ref history, steps, refused, streak, roll_backs, position, .. } = standing;
        Self { epochs: history.epochs.len(), steps, refused, streak, roll_backs, position }
    }

    /// The same with the part of a history that belongs to these counts.
    fn standing(self, history: &History) -> Standing {
        let Self { epochs, steps, refused, streak, roll_backs, position } = self;
        let history = History { epochs: history.epochs.iter().take(epochs).cloned().collect() };
        Standing { history, steps, refused, streak, roll_backs, position, ..Standing::default() }
    }
}

/// Why a checkpoint cannot be used.
#[derive(Debug, PartialEq)]
enum Flaw {
    Missing,
    /// An older one may be usable.
    Damaged(String),
    /// It is intact, but this program cannot resume from it.
    Foreign(String),
}

impl Checkpoint {
    /// The file's bytes.
    fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let State { standing, tensors: kept, sound } = &*self.state;
        let history = standing.history.to_csv().map_err(|e| e.to_string())?;
        let description = Description {
            identity: self.identity.clone(),
            counts: Counts::of(standing),
            sound: sound.as_ref().map(|sound| Counts::of(&sound.standing)),
            history: String::from_utf8(history).map_err(|e| e.to_string())?,
        };
        let description = serde_json::to_string(&description).map_err(|e| e.to_string())?;
        let sums = [standing.totals.loss, standing.totals.hits, standing.totals.count, standing.seconds];
        let of_sound = sound.iter().flat_map(|sound| &sound.tensors);
        let of_sound: Vec<(String, &DeviceTensor)> = of_sound.map(|t| (format!("{SOUND}{}", t.name), t)).collect();
        let mut tensors: Vec<(&str, Dtype, &[u8])> = vec![(TOTALS, Dtype::F64, bytemuck::cast_slice(&sums))];
        tensors.extend(kept.iter().map(|t| (&t.name[..], dtype(t.element), &t.bytes[..])));
        tensors.extend(of_sound.iter().map(|(name, t)| (&name[..], dtype(t.element), &t.bytes[..])));
        let checksum = checksum(&description, &mut tensors);
        let sealed = serde_json::to_string(&Sealed { version: VERSION, checksum, description });
        let metadata = HashMap::from([(KEY.to_owned(), sealed.map_err(|e| e.to_string())?)]);
        let views = tensors.into_iter().map(|(name, dtype, bytes)| {
            let elements = bytes.len() * 8 / dtype.bitsize();
            TensorView::new(dtype, vec![elements], bytes).map(|view| (name, view)).map_err(|e| e.to_string())
        });
        safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, Some(metadata)).map_err(|e| e.to_string())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Flaw> {
        let damaged = |problem: &dyn std::fmt::Display| Flaw::Damaged(format!("it is damaged ({problem})"));
        let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
        let sealed = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let sealed = sealed.ok_or_else(|| Flaw::Foreign("it is not a checkpoint of this program".into()))?;
        let sealed: serde_json::Value = serde_json::from_str(sealed).map_err(|e| damaged(&e))?;
        // check this first, as another version may differ in everything else
        match sealed["version"].as_u64() {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => {
                let known = format!("it has version {version} of the layout, this program knows {VERSION}");
                return Err(Flaw::Foreign(known));
            }
            None => return Err(damaged(&"it has no version")),
        }
        let sealed: Sealed = serde_json::from_value(sealed).map_err(|e| damaged(&e))?;
        let views = file.tensors();
        let mut tensors: Vec<(&str, Dtype, &[u8])> =
            views.iter().map(|(name, view)| (&name[..], view.dtype(), view.data())).collect();
        if checksum(&sealed.description, &mut tensors) != sealed.checksum {
            return Err(damaged(&"its checksum is wrong"));
        }
        let Description { identity, counts, sound, history } =
            serde_json::from_str(&sealed.description).map_err(|e| damaged(&e))?;
        let history = History::from_csv(history.as_bytes()).map_err(|e| damaged(&e))?;
        let (mut standing, mut kept, mut sound_tensors) = (counts.standing(&history), Vec::new(), Vec::new());
        for (name, dtype, bytes) in tensors {
            if name == TOTALS {
                let sums = bytemuck::pod_collect_to_vec::<u8, f64>(bytes);
                let [loss, hits, count, seconds] = sums[..] else { return Err(damaged(&"its totals are not four")) };
                (standing.totals, standing.seconds) = (Totals { loss, hits, count }, seconds);
                continue;
            }
            let element = element(dtype).ok_or_else(|| damaged(&format!("tensor {name} is {dtype:?}")))?;
            let (own, group) = match name.strip_prefix(SOUND) {
                Some(own) => (own, &mut sound_tensors),
                None => (name, &mut kept),
            };
            group.push(DeviceTensor { name: own.to_owned(), element, bytes: bytes.to_vec() });
        }
        let of_sound =
            |counts: Counts| State { standing: counts.standing(&history), tensors: sound_tensors, sound: None };
        let state = State { standing, tensors: kept, sound: sound.map(of_sound).map(Arc::new) };
        Ok(Self { identity, state: Arc::new(state) })
    }

    fn read(path: &Path) -> Result<Self, Flaw> {
        let mut bytes = Vec::new();
        if path.try_exists().is_ok_and(|there| !there) {
            return Err(Flaw::Missing);
        }
        let mut file = open_bounded(path, LARGEST_FILE).map_err(|error| Flaw::Damaged(error.to_string()))?;
        let unreadable = |error| Flaw::Damaged(format!("it cannot be read ({error})"));
        // what begins with another length is refused before gigabytes of nothing are read
        file.by_ref().take(8).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes[..].try_into().is_ok_and(|length| (1..=LONGEST_HEADER).contains(&u64::from_le_bytes(length))) {
            file.read_to_end(&mut bytes).map_err(unreadable)?;
        }
        Self::from_bytes(&bytes)
    }

    /// The newest checkpoint of a run folder, perhaps with a note for the user. If the current one is damaged, the previous one is
    /// taken.
    ///
    /// # Errors
    /// [`Error::File`]: there is none, both are damaged, or another version of this program wrote one.
    pub fn load(run: &Path) -> Result<(Self, Option<String>)> {
        let [current, previous] = places(run);
        // A process that was killed between two renames leaves the newest under its temporary name.
        let newest = match Self::read(&current) {
            Err(Flaw::Missing) => Self::read(&next_place(run)),
            other => other,
        };
        let problem = match newest {
            Ok(checkpoint) => return Ok((checkpoint, None)),
            Err(Flaw::Foreign(problem)) => {
                return Err(Error::file(&current, problem, "resume with the program that wrote it, or remove it"));
            }
            Err(Flaw::Damaged(problem)) => Some(problem),
            Err(Flaw::Missing) => None,
        };
        match (Self::read(&previous), problem) {
            (Ok(older), problem) => {
                let problem = problem.unwrap_or_else(|| "it is missing".into());
                let note = format!("{}: {problem}; the checkpoint before it is used", current.display());
                Ok((older, Some(note)))
            }
            (Err(Flaw::Foreign(problem)), _) => {
                Err(Error::file(&previous, problem, "resume with the program that wrote it"))
            }
            (Err(Flaw::Damaged(_)), Some(problem)) => {
                let both = format!("{problem}, and so is the checkpoint before it");
                Err(Error::file(&current, both, AFRESH))
            }
            (Err(Flaw::Missing), Some(problem)) => {
                Err(Error::file(&current, format!("{problem}, and there is none before it"), AFRESH))
            }
            (Err(Flaw::Damaged(problem)), None) => Err(Error::file(&previous, problem, AFRESH)),
            (Err(Flaw::Missing), None) => Err(Error::file(run, "it holds no checkpoint", AFRESH)),
        }
    }
}

/// What to do if nothing can be resumed.
const AFRESH: &str = "name another run, or train from the start with --out FOLDER";

/// Paths of the current and the previous checkpoint.
pub(super) fn places(run: &Path) -> [PathBuf; 2] {
    ["current", "previous"].map(|name| run.join(format!("checkpoint/{name}.safetensors")))
}

/// Temporary path of a checkpoint before it becomes the current one.
fn next_place(run: &Path) -> PathBuf {
    run.join("checkpoint/next.safetensors")
}

/// BLAKE3 hash of a description and of tensors, sorted by name.
fn checksum(description: &str, tensors: &mut [(&str, Dtype, &[u8])]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update_rayon(bytes);
    };
    part(description.as_bytes());
    tensors.sort_unstable_by_key(|(name, ..)| *name);
    for (name, dtype, bytes) in tensors {
        part(name.as_bytes());
        part(dtype.to_string().as_bytes());
        part(bytes);
    }
    hasher.finalize().to_hex().to_string()
}

/// Writes checkpoints on a thread, one at a time, so that the device does not wait for the disk.
pub struct Keeper {
    run: PathBuf,
    /// Whether the current file is intact, and worth keeping as the previous one.
    rotate: bool,
    writing: Option<JoinHandle<Result<()>>>,
}

impl Keeper {
    /// For a run folder. A damaged current checkpoint will not replace the previous one.
    pub fn new(run: &Path) -> Self {
        Self { run: run.to_owned(), rotate: Checkpoint::read(&places(run)[0]).is_ok(), writing: None }
    }

    /// Whether a checkpoint is being written.
    pub fn is_busy(&self) -> bool {
        self.writing.as_ref().is_some_and(|writing| !writing.is_finished())
    }

    /// Waits for the checkpoint before, then starts to write this one.
    ///
    /// # Errors
    /// [`Error::File`]: the one before could not be written. This one is written all the same.
    pub fn keep(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let before = self.finish();
        let (run, rotate) = (self.run.clone(), self.rotate);
        self.writing = Some(std::thread::spawn(move || save(&checkpoint, &run, rotate)));
        before
    }

    /// Waits for the checkpoint that is being written.
    ///
    /// # Errors
    /// [`Error::File`]: it could not be written; earlier ones are unchanged.
    pub fn finish(&mut self) -> Result<()> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        let ended = writing.join().unwrap_or_else(|_| {
            Err(Error::file(&places(&self.run)[0], "it could not be written", "please report this"))
        });
        self.rotate |= ended.is_ok();
        ended
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

fn save(checkpoint: &Checkpoint, run: &Path, rotate: bool) -> Result<()> {
    let [current, previous] = places(run);
    let failed = |problem: String| Error::file(&current, problem, "check that its folder may be written to");
    let bytes = checkpoint.to_bytes().map_err(&failed)?;
    let folder = run.join("checkpoint");
    std::fs::create_dir_all(&folder).map_err(|e| failed(e.to_string()))?;
    // The new one is safe under a third name before the others are touched.
    let next = next_place(run);
    write_whole(&next, &bytes)?;
    if rotate && current.exists() {
        std::fs::rename(&current, &previous).map_err(|e| failed(e.to_string()))?;
    }
    let renamed = std::fs::rename(&next, &current).and_then(|()| sync_folder(&folder));
    renamed.map_err(|e| failed(e.to_string()))
}
