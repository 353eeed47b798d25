//! Times every implementation of every contract in its bench cases, on the first adapter: ms, GFLOP/s (as elements) and GB/s.
//!
//! `cargo bench --bench kernels conv2d` times one operation. The list comes from the registry, so a new kernel is timed
//! without touching this file. Times are by the GPU's own clock if it has one.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use galaxy_gpu::engine::peak::Peaks;
use galaxy_gpu::engine::validate::{Compile, prepared_engine};
use galaxy_gpu::engine::{Engine, Gpu};
use galaxy_gpu::kernels::{peak::F32_FMA, registry};
use galaxy_gpu::plan::{Program, obstacle};
use std::time::Duration;

fn kernels(criterion: &mut Criterion) {
    let gpu = Gpu::open(None).expect("an adapter to time");
    println!("adapter: {} ({})", gpu.profile().name, gpu.profile().driver);
    let peaks = Peaks::measure(&gpu, &F32_FMA).expect("micro-kernels that compute what they should");
    println!("peaks: {:.1} GFLOP/s f32, {:.1} GB/s copy", peaks.flops / 1e9, peaks.bytes / 1e9);
    for &contract in registry() {
        let mut group = criterion.benchmark_group(contract.name);
        group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
        for case in (contract.cases)().iter().filter(|case| case.bench) {
            let cost = (contract.cost)(&case.constants);
            group.throughput(Throughput::ElementsAndBytes { elements: cost.flops as u64, bytes: cost.bytes as u64 });
            for (implementation, precision) in contract.variants() {
                if obstacle(implementation, &case.constants, precision, gpu.profile()).is_some() {
                    continue;
                }
                let engine = prepared_engine(&gpu, contract, implementation, case, precision, &Compile::own(false));
                let mut engine = engine.expect("a case within the adapter's limits");
                group.bench_function(BenchmarkId::new(implementation.label(precision), case.name), |bencher| {
                    bencher.iter_custom(|repeats| {
                        let seconds = engine.time(Program::Train, &case.step, repeats as usize);
                        Duration::from_secs_f64(seconds.expect("a device that is not lost") * repeats as f64)
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
