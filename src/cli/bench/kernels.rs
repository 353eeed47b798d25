//! A step dispatch by dispatch: the table of `--kernels` and the bars of `--trace`.

use crate::engine::Timeline;
use crate::engine::peak::{Bound, Peaks};
use crate::plan::Step;
use crate::report::Table;
use crate::report::trace::{Event, chrome_trace};
use serde::Serialize;
use serde_json::{Map, json};

/// A dispatch in the JSON.
#[derive(Serialize)]
pub struct DispatchTime {
    /// Path below `shaders/`.
    shader: String,
    ms: f64,
}

/// A call in the JSON. Its work is what the contract counts, done by one or more dispatches.
#[derive(Serialize)]
pub struct KernelTime {
    layer: String,
    contract: &'static str,
    implementation: &'static str,
    flops: f64,
    bytes: f64,
    /// Sum of its dispatches.
    pub ms: f64,
    gflops: f64,
    gigabytes_per_second: f64,
    /// Fraction of the nearer peak; null on the CPU twins.
    share_of_ceiling: Option<f64>,
    /// Which peak that is: `flops` or `bytes`.
    ceiling: Option<&'static str>,
    dispatches: Vec<DispatchTime>,
}

/// The plan's steps with the seconds of their dispatches.
pub fn kernel_times(steps: &[Step], seconds: &[Vec<f64>], peaks: Option<Peaks>) -> Vec<KernelTime> {
    let kernel = |(step, times): (&Step, &Vec<f64>)| {
        let seconds = times.iter().sum::<f64>().max(1e-12);
        let fraction = peaks.map(|peaks| peaks.fraction(step.cost, seconds));
        // a twin runs a call as one dispatch, however many it takes on a GPU
        let shaders = step.dispatches.iter().map(|dispatch| dispatch.source.kernel().path.to_owned());
        let dispatches = shaders.zip(times).map(|(shader, seconds)| DispatchTime { shader, ms: 1e3 * seconds });
        KernelTime {
            layer: step.layer.clone(),
            contract: step.contract.name,
            implementation: step.implementation,
            flops: step.cost.flops,
            bytes: step.cost.bytes,
            ms: 1e3 * seconds,
            gflops: step.cost.flops / seconds / 1e9,
            gigabytes_per_second: step.cost.bytes / seconds / 1e9,
            share_of_ceiling: fraction.map(|(fraction, _)| fraction),
            ceiling: fraction.map(|(_, bound)| if bound == Bound::Flops { "flops" } else { "bytes" }),
            dispatches: dispatches.collect(),
        }
    };
    steps.iter().zip(seconds).map(kernel).collect()
}

/// The table: a row for each call, and one for each dispatch of a call that has several. Below it the sum, and the milliseconds of
/// the `whole` step.
pub fn in_words(kernels: &[KernelTime], whole: f64, clock: &str) -> String {
    let header = ["layer", "contract", "implementation", "ms", "% of sum", "GFLOP/s", "GB/s", "% of peak", "peak"];
    let mut table = Table::new(&header).right([3, 4, 5, 6, 7]);
    let sum: f64 = kernels.iter().map(|kernel| kernel.ms).sum();
    let percent = |fraction: f64| format!("{:.1}", 1e2 * fraction);
    for kernel in kernels {
        table.row(&[
            kernel.layer.clone(),
            kernel.contract.to_owned(),
            kernel.implementation.to_owned(),
            format!("{:.3}", kernel.ms),
            percent(kernel.ms / sum),
            format!("{:.1}", kernel.gflops),
            format!("{:.1}", kernel.gigabytes_per_second),
            kernel.share_of_ceiling.map_or("-".to_owned(), percent),
            kernel.ceiling.unwrap_or("-").to_owned(),
        ]);
        for dispatch in kernel.dispatches.iter().filter(|_| kernel.dispatches.len() > 1) {
            let (ms, fraction) = (format!("{:.3}", dispatch.ms), percent(dispatch.ms / sum));
            table.row(&["", &format!("  {}", dispatch.shader), "", &ms, &fraction]);
        }
    }
    let pieces = match kernels.iter().map(|kernel| kernel.dispatches.len()).sum() {
        0 => format!("{} calls", kernels.len()),
        dispatches => format!("{dispatches} dispatches"),
    };
    let how = match clock {
        "gpu" => "on the GPU's own clock",
        "cpu" => "by the CPU's clock, call by call",
        _ => "by the CPU's clock, with submitting and waiting",
    };
    format!("{table}\nsum      {sum:.3} ms of {pieces}, each timed alone {how}; the whole step {whole:.3} ms\n")
}

/// One step as a trace: what the CPU did, and each dispatch.
pub fn trace(kernels: &[KernelTime], timeline: &Timeline, adapter: &str) -> String {
    let host = timeline.host.iter().map(|(name, span)| Event {
        track: 0,
        name: (*name).to_owned(),
        start: span.start,
        seconds: span.seconds,
        args: Map::new(),
    });
    let device = kernels.iter().zip(&timeline.steps).flat_map(|(kernel, spans)| {
        spans.iter().zip(&kernel.dispatches).map(|(span, dispatch)| {
            let args = [
                ("flops", json!(kernel.flops)),
                ("bytes", json!(kernel.bytes)),
                ("share_of_ceiling", json!(kernel.share_of_ceiling)),
                ("shader", json!(dispatch.shader)),
            ];
            Event {
                track: 1,
                name: format!("{}/{}/{}", kernel.layer, kernel.contract, kernel.implementation),
                start: span.start,
                seconds: span.seconds,
                args: args.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            }
        })
    });
    chrome_trace(&["CPU", adapter], &host.chain(device).collect::<Vec<Event>>())
}
