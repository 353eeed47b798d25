//! Keeps compiled pipelines between processes. The engine knows no files: it hands sealed bytes to a [`PipelineStore`], and
//! the caller decides where those are stored.
//!
//! The sealed bytes are magic (8 bytes), key (32 bytes: BLAKE3 of adapter, driver, version and all shader text), BLAKE3 of the
//! data (32 bytes), and the data as the driver gave it. Drivers check little more than a header of their own. So data that was
//! cut off, changed, or made by another driver or build never reaches them: it is ignored, and replaced when pipelines are saved.

use crate::kernels::{PARTS, embedded};
use crate::plan::Profile;
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps bytes under a name, between processes.
pub trait PipelineStore: Send + Sync {
    /// What was saved last; `None` if there is nothing, or it cannot be read.
    fn load(&self, name: &str) -> Option<Vec<u8>>;

    /// Replaces what was saved. It may fail silently: pipelines are then compiled again.
    fn save(&self, name: &str, bytes: &[u8]);
}

const MAGIC: [u8; 8] = *b"GALXPIPE";
/// Bytes before the data.
const PREFIX: usize = 72;
/// A larger cache starts empty again, as it grows with every network and batch size and never shrinks.
const MOST_BYTES: usize = 64 << 20;

/// A driver's cache, and the store for its contents.
pub(super) struct KeptPipelines {
    pub cache: wgpu::PipelineCache,
    pub store: Arc<dyn PipelineStore>,
    name: String,
    key: blake3::Hash,
    /// Hash of the data in the store.
    stored: Mutex<Option<blake3::Hash>>,
}

impl KeptPipelines {
    /// A driver's cache with what `store` holds for this adapter and driver.
    pub fn open(device: &wgpu::Device, profile: &Profile, store: Arc<dyn PipelineStore>) -> Self {
        let name = format!("pipelines-{}", &hash([&profile.name, &profile.backend]).to_hex()[..16]);
        let key = key_of(&[&profile.name, &profile.backend, &profile.driver]);
        let sealed = store.load(&name);
        let data = sealed.as_deref().and_then(|sealed| unseal(sealed, key)).filter(|data| !data.is_empty());
        let cache = new_cache(device, data);
        let stored = Mutex::new(data.map(blake3::hash));
        Self { cache, store, name, key, stored }
    }

    /// Saves the pipelines that have been compiled, unless the store has them already.
    pub fn save(&self) {
        let Some(mut data) = self.cache.get_data() else { return };
        if data.len() > MOST_BYTES {
            data.clear(); // the next process starts with an empty cache
        }
        let hash = blake3::hash(&data);
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.replace(hash) != Some(hash) {
            self.store.save(&self.name, &seal(&data, self.key));
        }
    }
}

fn new_cache(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("pipelines"), data, fallback: true };
    #[expect(unsafe_code, reason = "drivers trust the contents of a pipeline cache")]
    // SAFETY: the data, if any, is what `get_data` returned for this adapter, driver and build: `unseal` lets nothing pass
    // without their key and a checksum over every byte, which only `seal` writes.
    unsafe {
        device.create_pipeline_cache(&descriptor)
    }
}

/// Hash of a list of words. The length of each is hashed, too, so that other words never give the same text.
fn hash<'a>(words: impl IntoIterator<Item = &'a String>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for word in words {
        hasher.update(&(word.len() as u64).to_le_bytes());
        hasher.update(word.as_bytes());
    }
    hasher.finalize()
}

/// The key of an adapter with its driver and of this build: its version and the text of every shader.
fn key_of(adapter: &[&String]) -> blake3::Hash {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let (kernels, parts) = (embedded(), PARTS.iter());
    let texts = kernels.values().chain(parts).flat_map(|shader| [shader.path, shader.text]);
    let texts: Vec<String> = texts.map(str::to_owned).collect();
    hash(adapter.iter().copied().chain([&version]).chain(&texts))
}

fn seal(data: &[u8], key: blake3::Hash) -> Vec<u8> {
    [&MAGIC[..], key.as_bytes(), blake3::hash(data).as_bytes(), data].concat()
}

/// The data of sealed bytes; `None` if they are damaged or sealed with another key.
fn unseal(sealed: &[u8], key: blake3::Hash) -> Option<&[u8]> {
    let (prefix, data) = sealed.split_at_checked(PREFIX)?;
    let wanted = [&MAGIC[..], key.as_bytes(), blake3::hash(data).as_bytes()].concat();
    (prefix == wanted && data.len() <= MOST_BYTES).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_bytes_of_this_adapter_and_build_are_opened() {
        let adapter = |driver: &str| key_of(&[&"card".to_owned(), &driver.to_owned()]);
        let (key, data) = (adapter("1.0"), b"compiled".as_slice());
        let sealed = seal(data, key);
        assert_eq!(unseal(&sealed, key), Some(data));
        assert_eq!(unseal(&sealed, adapter("1.1")), None, "another driver");
        assert_ne!(key, hash(["card", "1.0"].map(String::from).iter()), "the build counts");
        for length in 0..sealed.len() {
            assert_eq!(unseal(&sealed[..length], key), None, "cut off after {length}");
        }
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(unseal(&changed, key), None, "byte {place}");
        }
        assert_eq!(unseal(&[&sealed[..], b"more"].concat(), key), None);
    }
}
