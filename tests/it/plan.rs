//! Plans as data, without an adapter: what a dispatch may see, who may share memory, how much there is, how a plan refuses.

use crate::common::rig::{Rig, branches, model};
use galaxy_gpu::graph::{Augment, Graph, Settings, Storage, TensorId};
use galaxy_gpu::kernels::{Access, Precision};
use galaxy_gpu::lowering::lower;
use galaxy_gpu::model::Model;
use galaxy_gpu::plan::{ALIGNMENT, AdapterKind, Choice, Options, Place, Plan, Profile, Program, Step, shards};
use std::collections::BTreeSet;
use std::ops::Range;

const PROGRAMS: [Program; 2] = [Program::Train, Program::Infer];

/// A preset on Galaxy10 DECaLS: 17 736 images of 256 px, of which 14 188 are trained on.
fn galaxy10(preset: &str, batch: usize, fuse: bool, profile: &Profile) -> Graph {
    let network = Model::preset(preset).unwrap_or_else(branches).build(256, 256, 10).unwrap();
    let settings = Settings {
        training: true,
        batch,
        micro_batch: None,
        images: 17_736,
        rows: 14_188,
        shards: shards(17_736, 256 * 256 * 3, profile.binding_bytes).unwrap(),
        streamed: false,
        augment: Some(Augment::default()),
        label_smoothing: 0.0,
        fuse,
        precision: Precision::F32,
        ema: false,
    };
    lower(&network, &settings).unwrap()
}

/// A discrete card of today.
fn card() -> Profile {
    Profile { binding_bytes: (2 << 30) - 4, buffer_bytes: 4 << 30, name: "card".into(), ..Profile::webgpu() }
}

/// Plans of both presets and of a network that is no chain, fused and single, of Galaxy10's size and small.
fn plans() -> Vec<(String, Plan)> {
    let mut plans = Vec::new();
    for preset in ["conv3", "conv4", "branches"] {
        for fuse in [true, false] {
            let name = format!("{preset}, fuse {fuse}");
            let plan = |graph: &Graph, profile: &Profile| Plan::new(graph, profile, &Options::default()).unwrap();
            plans.push((format!("{name}, Galaxy10"), plan(&galaxy10(preset, 50, fuse, &card()), &card())));
            let mut small = Rig::new(&Model::preset(preset).unwrap_or_else(branches), (16, 18), 3, 7, 4);
            small.settings.fuse = fuse;
            plans.push((format!("{name}, small"), plan(&small.graph(), &Profile::webgpu())));
            small.settings.micro_batch = Some(3);
            plans.push((format!("{name}, micro-batches"), plan(&small.graph(), &Profile::webgpu())));
        }
    }
    plans
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

fn bytes_overlap(a: &Place, b: &Place) -> bool {
    a.buffer == b.buffer && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes
}

/// Transient tensors of a program and the steps from the first to the last that names them.
fn lives(plan: &Plan, program: Program) -> Vec<(TensorId, Range<usize>)> {
    let steps = plan.steps(program);
    let named = |id: TensorId| (0..steps.len()).filter(move |&number| steps[number].tensors.contains(&id));
    let transient = (0..plan.tensors.len()).filter(|&id| plan.tensors[id].storage == Storage::Transient);
    transient.filter_map(|id| Some((id, named(id).next()?..named(id).max()? + 1))).collect()
}

/// Scratch of a step: what its dispatches see beside its tensors.
fn scratch(plan: &Plan, step: &Step) -> Vec<Place> {
    let seen = step.dispatches.iter().flat_map(|dispatch| &dispatch.bindings).map(|(place, _)| *place);
    seen.filter(|place| step.tensors.iter().all(|&id| plan.places[id] != *place)).collect()
}

#[test]
fn no_buffer_is_read_and_written_in_one_dispatch() {
    for (name, plan) in plans() {
        for dispatch in PROGRAMS.iter().flat_map(|&p| plan.steps(p)).flat_map(|step| &step.dispatches) {
            let path = dispatch.source.kernel().path;
            for (number, (place, access)) in dispatch.bindings.iter().enumerate() {
                for (other, other_access) in &dispatch.bindings[number + 1..] {
                    let reads = [access, other_access].map(|access| *access == Access::Read);
                    assert!(
                        reads[0] == reads[1] || place.buffer != other.buffer,
                        "{name}: {path} reads what it writes"
                    );
                    assert!(reads[0] || !bytes_overlap(place, other), "{name}: {path} writes the same bytes twice");
                }
            }
        }
    }
}

#[test]
fn transient_tensors_that_live_at_once_never_share_a_buffer() {
    let mut shared = 0;
    for (name, plan) in plans() {
        for program in PROGRAMS {
            let lives = lives(&plan, program);
            for (number, (a, life)) in lives.iter().enumerate() {
                for (b, other) in &lives[number + 1..] {
                    if plan.places[*a].buffer != plan.places[*b].buffer {
                        continue;
                    }
                    shared += 1;
                    let [a, b] = [a, b].map(|&id| &plan.tensors[id].name);
                    assert!(!overlap(life, other), "{name}, {program:?}: {a} and {b} share a buffer and a time");
                }
            }
            for (number, step) in plan.steps(program).iter().enumerate() {
                for place in scratch(&plan, step) {
                    let mut alive = lives.iter().filter(|(_, life)| life.contains(&number));
                    let taken = alive.any(|(id, _)| plan.places[*id].buffer == place.buffer);
                    assert!(!taken, "{name}: the scratch of {} overwrites a tensor", step.contract.name);
                }
            }
        }
    }
    assert!(shared > 100, "slots are shared at all");
}

#[test]
fn transient_tensors_are_written_before_they_are_read() {
    for (name, plan) in plans() {
        for program in PROGRAMS {
            for (id, life) in lives(&plan, program) {
                let first = &plan.steps(program)[life.start];
                let place = plan.places[id];
                let mut uses = first.dispatches.iter().flat_map(|dispatch| &dispatch.bindings);
                // each shard writes its images of the batch, all shards together the whole batch
                let by_shards = plan.tensors[id].name.ends_with(".images");
                let access = if by_shards { Access::Update } else { Access::Write };
                let written = uses.any(|used| *used == (place, access));
                assert!(written, "{name}, {program:?}: {} is read before it is written", plan.tensors[id].name);
            }
        }
    }
}

#[test]
fn places_lie_in_their_buffers_at_aligned_offsets_and_banks_do_not_overlap() {
    for (name, plan) in plans() {
        for (tensor, place) in plan.tensors.iter().zip(&plan.places) {
            let buffer = &plan.buffers[place.buffer];
            let unused = place.bytes == 0;
            assert!(unused || place.bytes == 4 * tensor.elements as u64, "{name}: {}", tensor.name);
            assert!(place.offset + place.bytes <= buffer.bytes, "{name}: {} leaves {}", tensor.name, buffer.name);
            assert!(place.offset.is_multiple_of(ALIGNMENT), "{name}: {} starts at {}", tensor.name, place.offset);
        }
        let alone = |id: &usize| match plan.tensors[*id].storage {
            // the tensor over a whole bank is meant to overlap those in it
            Storage::Bank(..) => {
                !["parameters", "gradients", "gradient_sums", "moment1", "moment2"].contains(&&*plan.tensors[*id].name)
            }
            Storage::Persistent => true,
            Storage::Transient => false,
        };
        let alone: Vec<usize> = (0..plan.tensors.len()).filter(alone).collect();
        for (number, &a) in alone.iter().enumerate() {
            for &b in &alone[number + 1..] {
                let names = (&plan.tensors[a].name, &plan.tensors[b].name);
                assert!(!bytes_overlap(&plan.places[a], &plan.places[b]), "{name}: {names:?} overlap");
            }
        }
    }
}

#[test]
fn grids_keep_webgpus_limits() {
    for (name, plan) in plans() {
        for dispatch in PROGRAMS.iter().flat_map(|&p| plan.steps(p)).flat_map(|step| &step.dispatches) {
            let grid = dispatch.grid;
            let fits = |groups: u32| (1..=65_535).contains(&groups);
            assert!(fits(grid.x) && fits(grid.y), "{name}: {} runs {grid:?}", dispatch.source.kernel().path);
            assert!(dispatch.bindings.len() <= 8, "{name}: {}", dispatch.source.kernel().path);
        }
    }
}

#[test]
fn conv4_at_256_px_needs_less_than_0_8_gb_beside_the_data() {
    let profile = card();
    let plan = Plan::new(&galaxy10("conv4", 50, true, &profile), &profile, &Options::default()).unwrap();
    println!("{plan}");
    let (all, data) = plan.bytes();
    assert_eq!(data, 17_736 * 256 * 256 * 3, "the data set once, as bytes");
    println!("conv4, 256 px, batch 50: {:.3} GB beside the data", (all - data) as f64 / 1e9);
    assert!(all - data < 800_000_000, "{} bytes", all - data);
}

#[test]
fn presets_fit_webgpus_default_limits() {
    let profile = Profile::webgpu();
    for (preset, batch, fuse) in [("conv3", 50, true), ("conv4", 50, true), ("conv4", 32, false)] {
        let graph = galaxy10(preset, batch, fuse, &profile);
        let plan = Plan::new(&graph, &profile, &Options::default());
        let plan = plan.unwrap_or_else(|error| panic!("{preset}, batch {batch}, fuse {fuse}: {error}"));
        let pixels = plan.persistent().unwrap().shards.len();
        assert_eq!(pixels, 27, "{preset}: 682 images of 192 KiB in 128 MiB");
        assert!(plan.buffers.iter().all(|buffer| buffer.bytes <= profile.buffer_bytes));
    }
}

#[test]
fn a_plan_refuses_what_is_too_large_and_says_what_helps() {
    let profile = Profile::webgpu();
    let refuse = |graph: &Graph, profile: &Profile| {
        let error = Plan::new(graph, profile, &Options::default()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    // 50 x 256 x 256 x 16 floats
    let single = refuse(&galaxy10("conv4", 50, false, &profile), &profile);
    let remedy = "use --micro-batch auto, a smaller --batch, smaller images or a smaller model";
    let sentence = |tensor: &str, need: &str, limit| {
        format!("tensor {tensor} needs {need}, but the adapter's limit is {limit}; {remedy}")
    };
    assert_eq!(single, sentence("train.conv2d.output", "200.0 MiB", "128.0 MiB in one piece"));

    let rig = Rig::new(&model(&["conv2d filters=4", "flatten", "dense units=100", "dense"]), (8, 8), 3, 2, 2);
    let tiny = Profile { binding_bytes: 100_000, ..Profile::webgpu() };
    assert_eq!(refuse(&rig.graph(), &tiny), sentence("dense.kernel", "100.0 KiB", "97.7 KiB in one piece"));
    let tiny = Profile { buffer_bytes: 100_000, ..Profile::webgpu() };
    let error = refuse(&rig.graph(), &tiny);
    assert!(error.starts_with("buffer parameters needs") && error.ends_with(remedy), "{error}");

    let error = shards(10, 3072, 3000).unwrap_err().to_string();
    assert_eq!(error, "one image needs 3.0 KiB, but the adapter's limit is 2.9 KiB; use smaller images");
}

/// What is free is the adapter's word, or made up.
#[test]
fn a_plan_that_needs_more_memory_than_is_free_is_refused_before_it_is_allocated() {
    let mut rig = Rig::new(&Model::preset("conv3").unwrap(), (32, 32), 10, 9, 4);
    let need = rig.plan(&card()).bytes().0;
    let plan = |rig: &Rig, memory_bytes| {
        let profile = Profile { memory_bytes, ..card() };
        Plan::new(&rig.graph(), &profile, &Options::default()).map_err(|error| (error.exit_code(), error.to_string()))
    };
    assert_eq!(plan(&rig, Some(need)).unwrap().bytes().0, need);
    let words = galaxy_gpu::plan::bytes_in_words;
    let sentence = |need: u64, remedy: &str| {
        let free = words(need - 1);
        let problem = format!("card needs {} of memory, but only {free} are free", words(need));
        (
            2,
            format!(
                "{problem}; use {remedy}a smaller --batch, a smaller --data-memory, smaller images, or close other programs"
            ),
        )
    };
    assert_eq!(plan(&rig, Some(need - 1)).unwrap_err(), sentence(need, "--micro-batch auto, "));
    rig.settings.training = false;
    let need = plan(&rig, None).unwrap().bytes().0;
    assert_eq!(plan(&rig, Some(need - 1)).unwrap_err(), sentence(need, ""), "inference has no gradients to add up");
    // the twins keep every tensor by itself
    let twins =
        |memory_bytes| Plan::new(&rig.graph(), &Profile { memory_bytes, ..Profile::cpu() }, &Options::default());
    let error = twins(Some(need)).unwrap_err().to_string();
    assert!(error.starts_with("--device reference needs") && twins(Some(100 * need)).is_ok(), "{error}");
}

#[test]
fn micro_batches_need_their_own_memory_and_one_more_bank() {
    let graph = |batch, micro_batch| {
        let network = Model::preset("conv4").unwrap().build(256, 256, 10).unwrap();
        let shards = shards(1000, 256 * 256 * 3, card().binding_bytes).unwrap();
        let fixed = Rig::new(&Model::preset("conv4").unwrap(), (16, 16), 10, 1, 1).settings;
        let settings = Settings { batch, micro_batch, images: 1000, rows: 1000, shards, ..fixed };
        lower(&network, &settings).unwrap()
    };
    let plan = |batch, micro| Plan::new(&graph(batch, micro), &card(), &Options::default()).unwrap();
    let bytes = |plan: &Plan| plan.bytes().0 - plan.bytes().1;
    let (whole, small, micro) = (plan(128, None), plan(32, None), plan(128, Some(32)));
    let bank = micro.buffers.iter().find(|buffer| buffer.name == "gradient_sums").unwrap().bytes;
    assert_eq!(bytes(&micro), bytes(&small) + bank, "beside the batch of a micro-batch's size");
    let slots = |plan: &Plan| -> u64 {
        plan.buffers.iter().filter(|buffer| buffer.name.starts_with("slot")).map(|buffer| buffer.bytes).sum()
    };
    // a quarter of the images; the sums of weights' gradients do not shrink as fast
    assert!(slots(&micro) < slots(&whole) / 3, "{} and {}", slots(&micro), slots(&whole));
    let names = |plan: &Plan| plan.steps(Program::Train).iter().map(|step| step.contract.name).collect::<Vec<_>>();
    assert_eq!(plan(128, Some(128)).micro_batches, None, "a batch that is no smaller is the whole");
    let added = names(&micro).iter().filter(|name| **name == "reduce.accumulate").count();
    assert_eq!((added, names(&micro).len()), (1, names(&whole).len() + 1));
    assert!(!names(&whole).contains(&"reduce.accumulate"));
}

#[test]
fn shards_hold_every_image_once() {
    for (images, image_bytes, binding) in [(17, 3072, 9219), (1, 10, 13), (7, 5, 1 << 20), (1000, 12, 51)] {
        let shards = shards(images, image_bytes, binding).unwrap();
        let mut next = 0;
        for shard in &shards {
            assert_eq!(shard.first, next);
            let words = (shard.count * image_bytes).div_ceil(4) * 4;
            assert!(shard.count > 0 && words as u64 <= binding, "{shard:?} in {binding} bytes");
            next += shard.count;
        }
        assert_eq!(next, images);
    }
}

#[test]
fn pipelines_do_not_grow_in_number_with_the_shards() {
    let pipelines = |binding_bytes| {
        let profile = Profile { binding_bytes, buffer_bytes: 4 << 30, ..Profile::webgpu() };
        let plan = Plan::new(&galaxy10("conv4", 32, true, &profile), &profile, &Options::default()).unwrap();
        let dispatches = plan.programs.iter().flatten().flat_map(|step| &step.dispatches);
        let different: BTreeSet<String> =
            dispatches.map(|d| format!("{} {:?}", d.source.kernel().path, d.constants)).collect();
        (plan.persistent().unwrap().shards.len(), different)
    };
    let ((few, one), (many, other)) = (pipelines(2 << 30), pipelines(128 << 20));
    assert_eq!((few, many), (2, 27));
    assert_eq!(one, other);
}

#[test]
fn a_plan_prints_every_call_with_its_reason() {
    let profile = card();
    let plan = Plan::new(&galaxy10("conv4", 50, true, &profile), &profile, &Options::default()).unwrap();
    let text = plan.to_string();
    for step in PROGRAMS.iter().flat_map(|&program| plan.steps(program)) {
        assert!(!step.reason.is_empty());
        let words = [&step.layer[..], step.contract.name, step.implementation];
        let mut lines = text.lines().filter(|line| line.ends_with(&step.reason));
        let printed = lines.any(|line| words.iter().all(|word| line.contains(word)));
        assert!(printed, "{words:?} is not printed with its reason in\n{text}");
    }
}

#[test]
fn graphs_call_contracts_as_they_are_declared() {
    for preset in ["conv3", "conv4"] {
        let rig = Rig::new(&Model::preset(preset).unwrap(), (32, 32), 10, 9, 4);
        for graph in [rig.graph(), rig.unfused().graph()] {
            for call in graph.train.iter().chain(&graph.infer) {
                let wanted: BTreeSet<&str> = call.contract.constants.iter().map(|constant| constant.name).collect();
                let given: BTreeSet<&str> = call.constants.pairs().iter().map(|(name, _)| *name).collect();
                assert_eq!(given, wanted, "{} of {}", call.contract.name, call.layer);
                let elements: Vec<usize> = call.tensors.iter().map(|&id| graph.tensors[id].elements).collect();
                assert_eq!((call.contract.lengths)(&call.constants), elements, "{}", call.contract.name);
            }
        }
    }
}

#[test]
fn a_choice_is_followed_where_it_can_be_and_refused_where_it_never_can() {
    let rig = Rig::new(&Model::preset("conv4").unwrap(), (32, 32), 10, 7, 4);
    let plan = |choice: &str, profile: &Profile| {
        let options = Options { choices: vec![choice.parse().unwrap()], ..Options::default() };
        Plan::new(&rig.graph(), profile, &options)
    };
    let steps = |plan: &Plan, contract: &str| -> Vec<(&'static str, String)> {
        let steps = plan.steps(Program::Train).iter().filter(|step| step.contract.name == contract);
        steps.map(|step| (step.implementation, step.reason.clone())).collect()
    };
    let names = |steps: &[(&'static str, String)]| steps.iter().map(|(name, _)| *name).collect::<Vec<&str>>();
    let chosen = plan("conv_block.backward_weights=split", &Profile::webgpu()).unwrap();
    assert_eq!(names(&steps(&chosen, "conv_block.backward_weights")), ["split"; 4]);
    let dense = steps(&plan("dense.forward=split", &Profile::webgpu()).unwrap(), "dense.forward");
    assert_eq!(names(&dense), ["split", "split", "direct"]);
    assert_eq!(dense[0].1, "chosen by --use");
    assert!(dense[2].1.starts_with("not split of --use: these sizes do not fit its tiles; "), "{}", dense[2].1);
    let one = plan("conv_block.forward@conv2d_1=direct", &Profile::webgpu()).unwrap();
    assert_eq!(names(&steps(&one, "conv_block.forward")), ["registers", "direct", "registers", "registers"]);
    let nowhere: Choice = "conv_block.forward@conv2d_9=direct".parse().unwrap();
    assert_eq!(one.unused(std::slice::from_ref(&nowhere)), [&nowhere]);
    let message = plan("conv_block.forward=matrix", &Profile::webgpu()).unwrap_err().to_string();
    assert_eq!(
        message,
        "--use is \"conv_block.forward=matrix\", but must be one that at least one layer can run (conv2d: these sizes do not fit \
         its tiles); drop it"
    );
}

#[test]
fn no_dispatch_keeps_a_slow_adapter_busy_for_seconds() {
    let plan = |kind, batch| {
        let profile = Profile { kind, ..card() };
        Plan::new(&galaxy10("conv4", batch, true, &profile), &profile, &Options::default())
    };
    for (kind, batch) in [
        (AdapterKind::Integrated, 256),
        (AdapterKind::Discrete, 512),
        (AdapterKind::Software, 512),
        (AdapterKind::Cpu, 512),
    ] {
        plan(kind, batch).unwrap();
    }
    let message = plan(AdapterKind::Integrated, 512).unwrap_err().to_string();
    assert!(message.contains("conv_block") && message.contains("GFLOP in one go"), "{message}");
    assert!(message.contains("limit is 50 GFLOP") && message.contains("--micro-batch auto"), "{message}");
}
