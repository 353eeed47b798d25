//! Compiled pipelines that are kept: they change no result, and whatever is wrong with what was kept is replaced.

use crate::common;
use crate::common::rig::{Rig, adam, read};
use galaxy_gpu::engine::gpu::PipelineStore;
use galaxy_gpu::engine::{Engine, Gpu};
use galaxy_gpu::model::Model;
use galaxy_gpu::plan::Program;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What was saved, by name.
type Saved = BTreeMap<String, Vec<u8>>;

/// What was saved, and how often.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<(Saved, usize)>>);

impl PipelineStore for Memory {
    fn load(&self, name: &str) -> Option<Vec<u8>> {
        self.0.lock().unwrap().0.get(name).cloned()
    }

    fn save(&self, name: &str, bytes: &[u8]) {
        let mut memory = self.0.lock().unwrap();
        memory.0.insert(name.to_owned(), bytes.to_vec());
        memory.1 += 1;
    }
}

impl Memory {
    /// The only thing that was saved.
    fn only(&self) -> (String, Vec<u8>) {
        let memory = self.0.lock().unwrap();
        assert_eq!(memory.0.len(), 1);
        memory.0.iter().next().map(|(name, bytes)| (name.clone(), bytes.clone())).unwrap()
    }

    fn saves(&self) -> usize {
        self.0.lock().unwrap().1
    }
}

/// Parameters after a step on an adapter that was opened anew, as bits.
fn step(store: Option<&Memory>) -> Vec<u32> {
    let rig = Rig::new(&Model::preset("conv3").unwrap(), (16, 16), 10, 7, 3);
    let gpu = Gpu::open(None).unwrap();
    if let Some(store) = store {
        gpu.keep_pipelines(std::sync::Arc::new(store.clone()));
    }
    let mut engine = rig.on_gpu(&gpu, false);
    engine.run(Program::Train, &[adam(1, 0, 3)]).unwrap();
    read(&mut engine, "parameters").into_iter().map(f32::to_bits).collect()
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn stored_pipelines_change_no_result_and_damaged_ones_are_replaced() {
    let gpu = common::gpu();
    let store = Memory::default();
    let want = step(None);
    assert_eq!(step(Some(&store)), want);
    if gpu.profile().backend != "vulkan" {
        assert_eq!(store.saves(), 0, "no other adapter keeps pipelines");
        return;
    }
    let (name, whole) = store.only();
    assert_eq!(store.saves(), 1);
    assert_eq!(step(Some(&store)), want, "from what was kept");
    assert_eq!((store.only().0, store.saves()), (name.clone(), 1), "and there was nothing new to keep");

    let flipped = |place: usize| {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        bytes
    };
    let foreign = vec![7; 4096];
    // within magic, key, checksum and data; cut off; empty; not ours
    for damaged in
        [flipped(3), flipped(20), flipped(50), flipped(80), whole[..whole.len() - 1].to_vec(), vec![], foreign]
    {
        store.0.lock().unwrap().0.insert(name.clone(), damaged.clone());
        let before = store.saves();
        assert_eq!(step(Some(&store)), want);
        assert_eq!(store.saves(), before + 1, "it is replaced");
        assert!(store.only().1 != damaged && store.only().1.starts_with(&whole[..40]), "by something that is whole");
    }
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn an_engine_that_is_dropped_at_once_leaves_its_adapter_usable() {
    let gpu = common::gpu();
    let rig = Rig::new(&Model::preset("conv3").unwrap(), (16, 16), 10, 7, 3);
    drop(rig.on_gpu(&gpu, false));
    let mut engine = rig.on_gpu(&gpu, false);
    engine.run(Program::Infer, &[adam(1, 0, 3)]).unwrap();
    assert_eq!(engine.wait().unwrap().len(), 1);
}
