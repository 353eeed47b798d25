//! Checks each adapter: what it is, its limits and features, and its kernels against their twins.

use super::{Finding, Findings};
use crate::cli::devices::{auto, without_adapter};
use crate::cli::kernels::quick;
use crate::engine::Gpu;
use crate::engine::gpu::adapters;
use crate::engine::validate::test_matrices;
use crate::kernels::Precision;
use crate::plan::{Profile, bytes_in_words};
use std::sync::Arc;
use std::time::Instant;

/// What to do about a faulty driver.
const DRIVER: &str = "update its driver, choose another adapter with --adapter, or use --device native";

/// Checks every adapter and returns their profiles.
pub fn check(findings: &mut Findings) -> anyhow::Result<Vec<Profile>> {
    let profiles = adapters();
    let [native, _] = without_adapter();
    findings.add(Finding::ok("native kernels", native.driver.clone()))?;
    findings.add(Finding::ok("--device auto", format!("it takes {}", auto(&profiles, &native))))?;
    if profiles.is_empty() {
        let remedy =
            "to run WGSL kernels, install a Vulkan driver (on Debian: scripts/setup); native kernels need none";
        findings.add(Finding::note("adapters", "no adapter was found", remedy))?;
    }
    let all_software = profiles.iter().all(|profile| profile.kind.is_software());
    for (number, profile) in profiles.iter().enumerate() {
        let check = format!("adapter {number}");
        findings.add(identity(&check, profile, all_software))?;
        findings.add(limits(&check, profile))?;
        match Gpu::open(Some(&number.to_string())) {
            Ok(gpu) => open(&check, &gpu, findings)?,
            Err(error) => findings.add(Finding::error(check, &error))?,
        }
    }
    Ok(profiles)
}

fn identity(check: &str, profile: &Profile, all_software: bool) -> Finding {
    let Profile { name, kind, backend, driver, .. } = profile;
    let found = format!("{name}, {}, {backend}, driver {driver}", kind.name());
    match all_software {
        true => {
            let remedy = "this adapter computes on the CPU; if the machine has a GPU, install its Vulkan driver";
            Finding::note(check, found, remedy)
        }
        false => Finding::ok(check, found),
    }
}

/// Compares limits with WebGPU's defaults, which the kernels rely on.
fn limits(check: &str, profile: &Profile) -> Finding {
    let check = format!("{check} limits");
    let figures = |p: &Profile| {
        let bytes = [p.binding_bytes, p.buffer_bytes, p.workgroup_bytes.into()];
        [bytes[0], bytes[1], bytes[2], p.storage_buffers.into(), p.invocations.into()]
    };
    let in_words = |[binding, buffer, workgroup, buffers, threads]: [u64; 5]| {
        let [binding, buffer, workgroup] = [binding, buffer, workgroup].map(bytes_in_words);
        format!(
            "{binding} a binding, {buffer} a buffer, {buffers} storage buffers, {workgroup} and {threads} threads a workgroup"
        )
    };
    let (found, needed) = (figures(profile), figures(&Profile::webgpu()));
    match found.iter().zip(&needed).all(|(found, needed)| found >= needed) {
        true => Finding::ok(check, in_words(found)),
        false => Finding::fail(check, format!("{}; the kernels need {}", in_words(found), in_words(needed)), DRIVER),
    }
}

/// Checks the features and kernels of an open adapter.
fn open(check: &str, gpu: &Arc<Gpu>, findings: &mut Findings) -> anyhow::Result<()> {
    let mut profile = gpu.profile().clone();
    let faulty = match profile.matrix {
        Some(_) => test_matrices(gpu),
        None => Ok(None),
    };
    findings.add(match &faulty {
        Ok(Some(why)) => {
            profile.matrix = None;
            let found = format!("{}; its cooperative matrices are not used, as {why}", features(&profile));
            Finding::note(format!("{check} features"), found, "update its driver; training can do without them")
        }
        Ok(None) => Finding::ok(format!("{check} features"), features(&profile)),
        Err(error) => Finding::error(format!("{check} features"), error),
    })?;
    for precision in [Precision::F32, Precision::Mixed] {
        findings.add(kernels(format!("{check} {precision}"), gpu, &profile, precision))?;
    }
    Ok(())
}

fn features(profile: &Profile) -> String {
    let with = |has: bool, what: &str| if has { what.to_owned() } else { format!("no {what}") };
    let subgroups = match profile.subgroup {
        (0, 0) => "no subgroups".to_owned(),
        (least, most) if least == most => format!("subgroups of {least}"),
        (least, most) => format!("subgroups of {least} to {most}"),
    };
    let matrix = match profile.matrix {
        Some(matrix) => format!("cooperative matrices of {0} x {0}", matrix.tile),
        None => "no cooperative matrices".to_owned(),
    };
    let [floats, clock] = [with(profile.f16, "16-bit floats"), with(profile.timestamps, "clock of its own")];
    [floats, subgroups, clock, matrix].join(", ")
}

/// Compares the kernels that a training would run here, in a precision, with their twins.
fn kernels(check: String, gpu: &Arc<Gpu>, profile: &Profile, precision: Precision) -> Finding {
    if precision == Precision::Mixed && !profile.f16 {
        return Finding::note(check, "it has no 16-bit floats", "train in f32, as --precision auto does here");
    }
    let started = Instant::now();
    let quick = quick(gpu, profile, precision);
    let (passed, seconds) = (quick.passed, started.elapsed().as_secs_f64());
    match quick.faults.first() {
        None => Finding::ok(check, format!("{passed} kernels agree with their twins on the CPU ({seconds:.1} s)")),
        Some(first) => {
            let count = quick.faults.len();
            let found =
                format!("{count} of {} kernels do not agree with their twins on the CPU: {first}", passed + count);
            Finding::fail(check, found, format!("{DRIVER}; galaxy-gpu kernels validate says more"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn limits_below_those_of_webgpu_fail() {
        assert_eq!(limits("adapter 0", &Profile::webgpu()).verdict, Verdict::Ok);
        let small = Profile { storage_buffers: 4, ..Profile::webgpu() };
        let finding = limits("adapter 0", &small);
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(finding.finding.contains("4 storage buffers") && finding.finding.contains("need"), "{finding:?}");
    }

    #[test]
    #[cfg_attr(no_adapter, ignore = "needs an adapter")]
    fn an_adapter_without_f16_is_told_to_train_in_f32() {
        let gpu = Gpu::for_tests();
        let profile = Profile { f16: false, ..gpu.profile().clone() };
        let finding = kernels("adapter 0 mixed".into(), &gpu, &profile, Precision::Mixed);
        assert_eq!((finding.verdict, finding.finding.as_str()), (Verdict::Note, "it has no 16-bit floats"));
        assert_eq!(
            features(&Profile::webgpu()),
            "no 16-bit floats, no subgroups, no clock of its own, no cooperative matrices"
        );
    }
}
