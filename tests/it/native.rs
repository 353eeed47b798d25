//! Native kernels: whole networks against the twins, on every instruction set of this processor, and against themselves on other numbers
//! of threads. `tests/kernels.rs` holds each kernel to its twin.

use crate::common::desk::Desk;
use crate::common::rig::read;
use crate::engines::{
    branches, compare_gradients, compare_metrics, conv3, conv4_like, five_steps, odd, run_one_by_one,
};
use galaxy_gpu::engine::Metrics;
use galaxy_gpu::run::CpuFeatures;
use galaxy_gpu::simd::InstructionSet;
use rayon::ThreadPoolBuilder;

/// Losses of five steps. Adam's steps have the size of the rate in the direction of a gradient, even of one that is nothing but rounding, so
/// that instruction sets part: the last loss by 4e-6 without fused multiply-adds. A wrong kernel parts by 1e-2.
fn compare_losses(name: &str, got: &[Metrics], want: &[Metrics]) {
    assert_eq!(got.len(), want.len(), "{name}");
    for (step, (a, b)) in got.iter().zip(want).enumerate() {
        assert!(
            (a.loss - b.loss).abs() <= 1e-4 * b.loss && a.count == b.count,
            "{name}, step {step}: {a:?}, twins {b:?}"
        );
    }
}

#[test]
fn first_gradients_and_five_losses_are_the_twins() {
    for (network, rig) in [("conv4-like", conv4_like()), ("conv3", conv3()), ("odd", odd()), ("branches", branches())] {
        let mut twins = rig.twins::<f32>();
        let first = run_one_by_one(&mut twins, &five_steps()[..1]);
        let mut after = rig.twins::<f32>();
        let all = run_one_by_one(&mut after, &five_steps());
        for set in InstructionSet::detected() {
            let name = format!("{network}, {set}");
            let mut engine = rig.natively(set);
            compare_metrics(&name, &run_one_by_one(&mut engine, &five_steps()[..1]), &first);
            compare_gradients(&name, &rig, &mut engine, &mut twins);
            compare_losses(&name, &run_one_by_one(&mut rig.natively(set), &five_steps()), &all);
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let (rig, set) = (conv4_like(), InstructionSet::fastest());
    let bits = |threads| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut engine = rig.natively(set);
            run_one_by_one(&mut engine, &five_steps());
            read(&mut engine, "parameters").into_iter().map(f32::to_bits).collect::<Vec<u32>>()
        })
    };
    let one = bits(1);
    assert!(one.iter().all(|&bits| f32::from_bits(bits).is_finite()));
    assert!([2, 3, 8].into_iter().all(|threads| bits(threads) == one));
}

/// All sets but plain code add and multiply in the same order, so a training may move between machines that have them.
#[test]
fn sets_with_fused_multiply_add_agree_to_the_bit() {
    let rig = conv4_like();
    let sets = InstructionSet::detected().into_iter().filter(|set| set.to_string() != "portable code");
    let bits = sets.map(|set| {
        let mut engine = rig.natively(set);
        run_one_by_one(&mut engine, &five_steps());
        read(&mut engine, "parameters").into_iter().map(f32::to_bits).collect::<Vec<u32>>()
    });
    let bits: Vec<Vec<u32>> = bits.collect();
    assert!(bits.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_plan_says_what_runs_natively_and_what_does_not() {
    let desk = Desk::new();
    let text = desk.run("plan --device native --size 32 --batch 4 --images 30");
    assert!(text.starts_with("conv4 on native kernels, f32\n"), "{text}");
    let line = |contract: &str| text.lines().find(|line| line.contains(contract)).unwrap_or_default().to_owned();
    assert!(
        line("conv_block.forward").contains("these sizes do not fit its tiles"),
        "conv1 has three channels: {text}"
    );
    assert!(text.lines().any(|line| line.contains("conv_block.forward") && line.contains("winograd")), "{text}");
    let exact = desk.run("plan --device native --precision exact --size 32 --batch 4 --images 30");
    assert!(exact.contains("not winograd: its sums are not direct") && !exact.contains(" winograd "), "{exact}");
    let direct = desk.run("plan --device native --use conv_block.forward=direct --size 32 --batch 4 --images 30");
    assert!(direct.contains("chosen by --use") && !direct.contains(" winograd "), "{direct}");
    desk.refuses("plan --device native --adapter 0", &["--adapter is given with --device native"]);
    desk.refuses("plan --device native --precision mixed", &["--precision is mixed", "16-bit floats"]);
    desk.refuses(
        "plan --device native --use conv_block.forward=tiled",
        &["it is WGSL, and native kernels run none: add --device software"],
    );
}

#[test]
fn a_run_trained_natively_resumes_to_the_same_bits() {
    let desk = Desk::new();
    let line = "train --device native --size 16 --images 40 --batch 8 --epochs";
    let whole = desk.run(&format!("{line} 4 --out whole"));
    desk.run(&format!("{line} 2 --out part"));
    let resumed = desk.run("train --resume part --epochs 4");
    let hash = |text: &str| text.lines().find(|line| line.starts_with("weights")).unwrap_or_default().to_owned();
    assert!(hash(&whole).contains("hash"), "{whole}");
    assert_eq!(hash(&whole), hash(&resumed));
}

/// Training, resuming and classifying on each set that this processor has.
#[test]
fn every_set_trains_resumes_and_classifies() {
    let desk = Desk::new();
    let hash = |text: &str| Desk::said(text, "weights  hash");
    let all = [CpuFeatures::Avx512, CpuFeatures::Avx2, CpuFeatures::Neon, CpuFeatures::Portable];
    let sets = all.into_iter().filter_map(|features| Some((features.name(), features.set().ok()?)));
    let mut fused = Vec::new();
    for (name, set) in sets {
        let line = format!("train --cpu-features {name} --size 16 --images 40 --batch 8 --model tiny.toml --epochs");
        let whole = desk.run(&format!("{line} 3 --out whole-{name}"));
        assert!(whole.contains(&format!("\ndevice   native kernels, {set}, ")), "{whole}");
        desk.run(&format!("{line} 1 --out {name}"));
        let (resumed, notes) = desk.both(&format!("train --resume {name} --epochs 3"));
        assert_eq!(hash(&whole), hash(&resumed), "{name}");
        assert!(resumed.contains(&format!("native kernels, {set}, ")) && !notes.contains("another device"), "{notes}");
        desk.run(&format!("classify {name} {name}/mistakes.png --cpu-features {name} --out {name}.csv"));
        assert!(desk.text(&format!("{name}.csv")).lines().nth(1).is_some_and(|row| row.contains(",ok")), "{name}");
        fused.extend(set.rounds_once().then(|| (name, hash(&whole))));
    }
    for (name, found) in &fused {
        assert_eq!(*found, fused[0].1, "{name} and {} round alike", fused[0].0);
        let (_, notes) = desk.both(&format!("train --resume whole-{name} --epochs 4 --cpu-features {}", fused[0].0));
        assert!(!notes.contains("another device"), "{notes}");
        let (_, notes) = desk.both(&format!("train --resume whole-{name} --epochs 5 --cpu-features portable"));
        assert!(notes.contains("the run began with another device (native kernels, fused multiply-add, now native kernels, portable code)"), "{notes}");
    }
}

#[test]
fn as_many_threads_compute_as_are_asked_for_and_allowed() {
    let desk = Desk::new();
    let line = "train --device native --size 16 --images 40 --batch 8 --model tiny.toml --epochs 1 --no-report";
    let one = desk.run(&format!("{line} --out one --threads 1"));
    assert!(one.contains(", 1 threads, f32"), "{one}");
    let variable = |line: &str| {
        let output = desk.program(line).env("RAYON_NUM_THREADS", "3").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let three = variable(&format!("{line} --out three"));
    assert!(three.contains(", 3 threads, f32"), "{three}");
    assert_eq!(Desk::said(&one, "weights  hash"), Desk::said(&three, "weights  hash"));
    assert!(variable(&format!("{line} --out other --threads 1")).contains(", 1 threads, f32"), "the option goes first");
    desk.refuses(&format!("{line} --out no --threads 0"), &["--threads is 0, but must be "]);
    desk.refuses(&format!("{line} --out no --threads 1000000"), &["--threads is 1000000, but must be "]);
    desk.refuses("train --cpu-features sse9", &["sse9", "avx512", "portable"]);
}
