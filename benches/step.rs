//! Times whole steps of training and inference on the first adapter if there is one and on native kernels, with the code of `galaxy-gpu bench step`. Run
//! `cargo bench --bench step conv4`. Elements are floating-point operations, as the contracts count them.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use galaxy_gpu::data::Dataset;
use galaxy_gpu::engine::Gpu;
use galaxy_gpu::graph::Augment;
use galaxy_gpu::model::Model;
use galaxy_gpu::plan::Program;
use galaxy_gpu::run::OpenDevice;
use galaxy_gpu::simd::InstructionSet;
use galaxy_gpu::train::Setup;
use galaxy_gpu::train::bench::{Bench, noise};
use std::time::Duration;

const BATCH: usize = 50;

fn bench<'a>(device: &OpenDevice, model: &str, program: Program, images: &'a Dataset) -> Bench<'a> {
    let size = images.width;
    let network = Model::preset(model).expect("a preset").build(size, size, 10).expect("a size it can pool");
    let training = program == Program::Train;
    let setup = Setup { training, augment: training.then(Augment::default), ..Setup::inference(BATCH) };
    let bench = Bench::new(&network, images, &setup, &device.profile(), |plan| device.engine(plan, false));
    bench.expect("a step the device can hold").0
}

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(4));
    let adapter = Gpu::open(None).ok().map(OpenDevice::Gpu);
    for device in adapter.into_iter().chain([OpenDevice::Native(InstructionSet::fastest())]) {
        let profile = device.profile();
        println!("{} ({})", profile.name, profile.driver);
        let sizes: &[usize] = if profile.kind.is_software() { &[64] } else { &[64, 256] };
        for (model, &size) in
            ["conv3", "conv4"].into_iter().flat_map(|model| sizes.iter().map(move |size| (model, size)))
        {
            let images = noise(BATCH, size, 10);
            for program in [Program::Train, Program::Infer] {
                let mut bench = bench(&device, model, program, &images);
                let cost = bench.cost();
                group
                    .throughput(Throughput::ElementsAndBytes { elements: cost.flops as u64, bytes: cost.bytes as u64 });
                let native = if profile.kind.is_native() { " native" } else { "" };
                let name = format!("{model} {size} px batch {BATCH}{native}");
                group.bench_function(BenchmarkId::new(format!("{program:?}").to_lowercase(), name), |bencher| {
                    bencher.iter_custom(|repeats| {
                        let seconds = bench.time(repeats as usize).expect("a device that is not lost");
                        Duration::from_secs_f64(seconds * repeats as f64)
                    });
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
