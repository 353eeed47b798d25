//! Times every WGSL kernel of every contract in its bench cases, on the first adapter if there is one, and the native ones beside
//! them: ms, GFLOP/s (as elements) and GB/s.
//!
//! `cargo bench --bench kernels conv2d` times one operation. The list comes from the registry, so a new kernel is timed
//! without touching this file. Times are by the GPU's own clock if it has one.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use galaxy_gpu::engine::peak::{MakeEngine, Peaks};
use galaxy_gpu::engine::validate::{Compile, prepared_engine, prepared_native};
use galaxy_gpu::engine::{CpuEngine, Engine, Gpu, GpuEngine};
use galaxy_gpu::kernels::{peak::F32_FMA, registry};
use galaxy_gpu::plan::{Profile, Program, obstacle};
use galaxy_gpu::simd::InstructionSet;
use std::time::Duration;

fn kernels(criterion: &mut Criterion) {
    let gpu = Gpu::open(None).ok();
    let set = InstructionSet::fastest();
    if let Some(gpu) = &gpu {
        let on_gpu: MakeEngine = &|plan| Ok(Box::new(GpuEngine::new(gpu, plan, false)?));
        say("adapter", gpu.profile(), on_gpu);
    }
    say("native", &Profile::native(set), &|plan| Ok(Box::new(CpuEngine::native(plan, set))));
    for &contract in registry() {
        let mut group = criterion.benchmark_group(contract.name);
        group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
        for case in (contract.cases)().iter().filter(|case| case.bench) {
            let cost = (contract.cost)(&case.constants);
            group.throughput(Throughput::ElementsAndBytes { elements: cost.flops as u64, bytes: cost.bytes as u64 });
            let mut time = |label: String, engine: &mut dyn Engine| {
                group.bench_function(BenchmarkId::new(label, case.name), |bencher| {
                    bencher.iter_custom(|repeats| {
                        let seconds = engine.time(Program::Train, &case.step, repeats as usize);
                        Duration::from_secs_f64(seconds.expect("a device that is not lost") * repeats as f64)
                    });
                });
            };
            for (gpu, (implementation, precision)) in
                gpu.iter().flat_map(|gpu| contract.variants().map(move |variant| (gpu, variant)))
            {
                if obstacle(implementation, &case.constants, precision, gpu.profile()).is_none() {
                    let own = &Compile::own(false);
                    let engine = prepared_engine(gpu, contract, implementation, case, precision, own);
                    time(implementation.label(precision), &mut engine.expect("a case within the adapter's limits"));
                }
            }
            for native in contract.native.iter().filter(|native| (native.accepts)(&case.constants)) {
                let engine = prepared_native(contract, native, case, set);
                time(format!("native {}", native.name), &mut engine.expect("a case that the kernel accepts"));
            }
        }
        group.finish();
    }
}

fn say(what: &str, profile: &Profile, make_engine: MakeEngine) {
    let peaks = Peaks::measure(profile, make_engine, &F32_FMA).expect("micro-kernels that compute what they should");
    println!("{what}: {} ({})", profile.name, profile.driver);
    println!("peaks: {:.1} GFLOP/s f32, {:.1} GB/s copy", peaks.flops / 1e9, peaks.bytes / 1e9);
}

criterion_group!(benches, kernels);
criterion_main!(benches);
