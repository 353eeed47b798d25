//! Whole steps on the first adapter, training and inference: the plan that is trained, with the kernels that are
//! trained. `cargo bench --bench step conv4`. Elements are floating-point operations, counted from the contracts.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use galaxy_gpu::engine::{Engine, Gpu, GpuEngine};
use galaxy_gpu::graph::Augment;
use galaxy_gpu::kernels::StepParams;
use galaxy_gpu::model::{Model, initialise};
use galaxy_gpu::plan::{Plan, Program};
use galaxy_gpu::train::{Adam, Setup, plan_for};
use std::sync::Arc;
use std::time::Duration;

const BATCH: usize = 50;

/// A model's plan on the adapter, with seeded weights and patterned pixels.
fn engine(gpu: &Arc<Gpu>, model: &str, size: usize) -> GpuEngine {
    let network = Model::preset(model).expect("a preset").build(size, size, 10).expect("a size it can pool");
    let setup = Setup { training: true, augment: Some(Augment::default()), ..Setup::inference(BATCH) };
    let (plan, graph) = plan_for(&network, BATCH, &setup, gpu.profile()).expect("a step the adapter can hold");
    let mut engine = GpuEngine::new(gpu, plan, false).expect("shaders that compile");
    for (index, (parameter, tensor)) in network.parameters().zip(&graph.parameters).enumerate() {
        let values = initialise(parameter, index, 0);
        engine.write(tensor.values, bytemuck::cast_slice(&values)).expect("a device that is not lost");
    }
    let pixels = engine.plan().tensor("pixels.0").expect("pixels");
    let bytes: Vec<u8> = (0..BATCH * size * size * 3).map(|i| (i * 7 % 251) as u8).collect();
    engine.write(pixels, &bytes).expect("a device that is not lost");
    let shard = engine.plan().tensor("shard.0").expect("a shard");
    engine.write(shard, bytemuck::cast_slice(&[0, BATCH as u32])).expect("a device that is not lost");
    engine
}

fn work(plan: &Plan, program: Program) -> Throughput {
    let cost = plan.steps(program).iter().fold((0.0, 0.0), |sum, s| (sum.0 + s.cost.flops, sum.1 + s.cost.bytes));
    Throughput::ElementsAndBytes { elements: cost.0 as u64, bytes: cost.1 as u64 }
}

fn steps(criterion: &mut Criterion) {
    let gpu = Gpu::open(None).expect("an adapter to time");
    println!("adapter: {} ({})", gpu.profile().name, gpu.profile().driver);
    let params = StepParams { count: BATCH as u32, ..Adam::default().params(0) };
    let sizes: &[usize] = if gpu.profile().kind == "software" { &[64] } else { &[64, 256] };
    let mut group = criterion.benchmark_group("step");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(4));
    for (model, &size) in ["conv3", "conv4"].into_iter().flat_map(|model| sizes.iter().map(move |size| (model, size))) {
        let mut engine = engine(&gpu, model, size);
        for program in [Program::Train, Program::Infer] {
            group.throughput(work(engine.plan(), program));
            let name = format!("{model} {size} px batch {BATCH}");
            group.bench_function(BenchmarkId::new(format!("{program:?}").to_lowercase(), name), |bencher| {
                bencher.iter_custom(|repeats| {
                    let seconds = engine.time(program, &params, repeats as usize);
                    Duration::from_secs_f64(seconds.expect("a device that is not lost") * repeats as f64)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
