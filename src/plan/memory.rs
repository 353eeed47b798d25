//! Places tensors in memory: in banks, in buffers of persistent tensors, and in slots that transient tensors share by lifetime.

use super::{Buffer, Options, Place, Profile};
use crate::error::{Error, Result};
use crate::graph::{Bank, Call, Graph, Shard, Storage, Tensor, TensorId};
use std::ops::Range;

/// Bindings start at multiples of this many bytes, and guards have this length.
pub const ALIGNMENT: u64 = 256;

/// Cuts a data set into runs of images that each fit one binding.
///
/// # Errors
/// One image is larger than a binding.
pub fn shards(images: usize, image_bytes: usize, binding_bytes: u64) -> Result<Vec<Shard>> {
    let per_shard = (binding_bytes.saturating_sub(3) / image_bytes.max(1) as u64).min(images.max(1) as u64) as usize;
    if per_shard == 0 {
        let (what, need) = ("one image".to_owned(), bytes_in_words(image_bytes as u64));
        let remedy = "use smaller images".to_owned();
        return Err(Error::Limit { what, need, limit: bytes_in_words(binding_bytes), remedy });
    }
    let starts = (0..images).step_by(per_shard);
    Ok(starts.map(|first| Shard { first, count: per_shard.min(images - first) }).collect())
}

/// A number of bytes, in words.
pub fn bytes_in_words(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// Buffers, and the place of every tensor.
#[derive(Default)]
pub(super) struct Memory {
    pub buffers: Vec<Buffer>,
    pub places: Vec<Place>,
    /// Slots of transient tensors, which both programs share, as they never run at the same time.
    slots: Vec<usize>,
}

impl Memory {
    /// Places for all tensors of the graph; `scratch[p][c]` is the scratch of call `c` of program `p` in bytes.
    /// Returns the memory and the scratch places.
    pub fn lay_out(graph: &Graph, scratch: [&[u64]; 2], options: &Options) -> (Self, [Vec<Option<Place>>; 2]) {
        let mut memory = Self { places: vec![Place::default(); graph.tensors.len()], ..Self::default() };
        memory.place_persistent(graph, options);
        let train = memory.place_transient(graph, &graph.train, scratch[0]);
        let infer = memory.place_transient(graph, &graph.infer, scratch[1]);
        (memory, [train, infer])
    }

    fn buffer(&mut self, name: &str, bytes: u64) -> usize {
        self.buffers.push(Buffer { name: name.to_owned(), bytes });
        self.buffers.len() - 1
    }

    fn place_persistent(&mut self, graph: &Graph, options: &Options) {
        let used = |bank| {
            let in_bank = |&id: &TensorId| matches!(graph.tensors[id].storage, Storage::Bank(b, _) if b == bank);
            graph.train.iter().chain(&graph.infer).flat_map(|call| &call.tensors).any(in_bank)
        };
        let banks = Bank::ALL.into_iter().filter(|&bank| used(bank));
        let banks: Vec<(Bank, usize)> = banks
            .map(|bank| (bank, self.buffer(bank.name(), bank.element().bytes(graph.bank_elements(bank)))))
            .collect();
        for (id, tensor) in graph.tensors.iter().enumerate() {
            let bytes = tensor.bytes();
            match tensor.storage {
                Storage::Bank(bank, offset) => {
                    // a bank that no call uses has no buffer, and its tensors have no place
                    if let Some(&(_, buffer)) = banks.iter().find(|(used, _)| *used == bank) {
                        let offset = (bank.element().size() * offset) as u64;
                        self.places[id] = Place { buffer, offset, bytes };
                    }
                }
                Storage::Persistent => {
                    let guard = if options.guards { ALIGNMENT } else { 0 };
                    let buffer = self.buffer(&tensor.name, bytes + 2 * guard);
                    self.places[id] = Place { buffer, offset: guard, bytes };
                }
                Storage::Transient => {}
            }
        }
    }

    /// Walks the calls once: a tensor takes a free slot before its first call and returns it after its last. Scratch memory lives for
    /// one call.
    fn place_transient(&mut self, graph: &Graph, calls: &[Call], scratch: &[u64]) -> Vec<Option<Place>> {
        let lifetimes = lifetimes(graph, calls);
        let mut free = self.slots.clone();
        let mut scratch_places = Vec::new();
        for (number, bytes) in scratch.iter().enumerate() {
            for (id, _) in lifetimes.iter().filter(|(_, life)| life.start == number) {
                let bytes = graph.tensors[*id].bytes();
                self.places[*id] = Place { buffer: self.take(&mut free, bytes), offset: 0, bytes };
            }
            let place = (*bytes > 0).then(|| Place { buffer: self.take(&mut free, *bytes), offset: 0, bytes: *bytes });
            free.extend(place.map(|place| place.buffer));
            scratch_places.push(place);
            let ended = lifetimes.iter().filter(|(_, life)| life.end == number + 1);
            free.extend(ended.map(|(id, _)| self.places[*id].buffer));
        }
        scratch_places
    }

    /// The free slot of the nearest size, which grows if need be, or a new one.
    fn take(&mut self, free: &mut Vec<usize>, bytes: u64) -> usize {
        let nearest = (0..free.len()).min_by_key(|&i| (self.buffers[free[i]].bytes.abs_diff(bytes), free[i]));
        let Some(index) = nearest else {
            let slot = self.buffer(&format!("slot {}", self.slots.len()), bytes);
            self.slots.push(slot);
            return slot;
        };
        let slot = free.swap_remove(index);
        self.buffers[slot].bytes = self.buffers[slot].bytes.max(bytes);
        slot
    }
}

/// The calls during which each transient tensor of a program lives.
pub(super) fn lifetimes(graph: &Graph, calls: &[Call]) -> Vec<(TensorId, Range<usize>)> {
    let mut lives: Vec<(TensorId, Range<usize>)> = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        for &id in call.tensors.iter().filter(|&&id| graph.tensors[id].storage == Storage::Transient) {
            match lives.iter_mut().find(|(other, _)| *other == id) {
                Some((_, life)) => life.end = number + 1,
                None => lives.push((id, number..number + 1)),
            }
        }
    }
    lives
}

/// Bytes that the engine will allocate. The CPU engine stores each tensor by itself in f32, and does not share memory by lifetime.
fn need(graph: &Graph, memory: &Memory, profile: &Profile) -> u64 {
    if !profile.kind.has_no_driver() {
        return memory.buffers.iter().map(|buffer| buffer.bytes).sum();
    }
    let in_bank = |tensor: &&Tensor| matches!(tensor.storage, Storage::Bank(..));
    let single: usize = graph.tensors.iter().filter(|tensor| !in_bank(tensor)).map(|tensor| tensor.elements).sum();
    let used = |bank: &Bank| {
        let of = |tensor: &Tensor| matches!(tensor.storage, Storage::Bank(other, _) if other == *bank);
        graph.tensors.iter().any(of)
    };
    let banks: usize = Bank::ALL.iter().filter(|bank| used(bank)).map(|&bank| graph.bank_elements(bank)).sum();
    4 * (single + banks) as u64
}

/// What to do about a batch that is too large, in training or inference.
fn smaller_batch(training: bool) -> &'static str {
    if training { "--micro-batch auto, a smaller --batch" } else { "a smaller --batch" }
}

/// The error if a plan does not fit into memory, before it is allocated or when the driver refuses.
pub fn too_little_memory(what: &str, need: u64, but: &str, training: bool) -> Error {
    let remedy = "a smaller --data-memory, smaller images, or close other programs";
    Error::Memory {
        problem: format!("{what} needs {} of memory, but {but}", bytes_in_words(need)),
        remedy: format!("use {}, {remedy}", smaller_batch(training)),
    }
}

/// Refuses a plan that needs more memory than is free, before any is allocated.
pub(super) fn check_need(graph: &Graph, memory: &Memory, profile: &Profile) -> Result<()> {
    let Some(free) = profile.memory_bytes else { return Ok(()) };
    let need = need(graph, memory, profile);
    if need <= free {
        return Ok(());
    }
    let what = if profile.kind.is_twins() { "--device reference" } else { &profile.name };
    Err(too_little_memory(what, need, &format!("only {} are free", bytes_in_words(free)), !graph.train.is_empty()))
}

/// Refuses tensors and buffers that the adapter cannot hold; the message has the name, the need, the limit and the remedy.
pub(super) fn check_limits(graph: &Graph, memory: &Memory, profile: &Profile) -> Result<()> {
    let refuse = |what: &str, need: u64, limit: u64| Error::Limit {
        what: what.to_owned(),
        need: bytes_in_words(need),
        limit: format!("{} in one piece", bytes_in_words(limit)),
        remedy: format!("use {}, smaller images or a smaller model", smaller_batch(!graph.train.is_empty())),
    };
    for (tensor, place) in graph.tensors.iter().zip(&memory.places) {
        if place.bytes > profile.binding_bytes {
            return Err(refuse(&format!("tensor {}", tensor.name), place.bytes, profile.binding_bytes));
        }
    }
    for buffer in &memory.buffers {
        if buffer.bytes > profile.buffer_bytes {
            return Err(refuse(&format!("buffer {}", buffer.name), buffer.bytes, profile.buffer_bytes));
        }
    }
    Ok(())
}
