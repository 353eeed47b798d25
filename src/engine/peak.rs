//! Measures an adapter's peaks with micro-kernels, and says what fraction of them a piece of work reaches.
//!
//! A micro-kernel runs like any other kernel: as a plan of one call, on the engine that trains.

use super::Engine;
use super::measure::{Sampling, sample};
use super::validate::{Values, fill, run_twin, single_plan};
use crate::error::{Error, Result};
use crate::kernels::peak::{COPY_BANDWIDTH, Peak};
use crate::kernels::{Case, Cost, Element, Shaders};
use crate::plan::{Plan, Profile, Program, obstacle};

/// Makes an engine of a device for a plan.
pub type MakeEngine<'a> = &'a dyn Fn(Plan) -> Result<Box<dyn Engine>>;

/// A measured peak.
#[derive(Clone, Copy)]
pub struct MeasuredPeak {
    /// Which peak.
    pub peak: &'static Peak,
    /// Flops or bytes a second, in the fastest of several measurements.
    pub per_second: f64,
    /// Seconds of one run.
    pub seconds: f64,
    /// Work of one run.
    pub cost: Cost,
}

/// A shorter run, in seconds, would mostly measure its beginning and end.
const LONG_ENOUGH: f64 = 2e-3;
/// How much larger the next run is if one was too short.
const GROWTH: usize = 8;
/// Samples are long, as an idle GPU takes a while to reach its full clock rate.
const SAMPLING: Sampling = Sampling { samples: 5, seconds: 0.1, most_repeats: 500, budget: 2.0 };

/// Why an adapter has no such peak; `None` if it has.
pub fn absent(peak: &Peak, profile: &Profile) -> Option<String> {
    let Some(implementation) = peak.contract.implementation(peak.implementation) else {
        return Some("its micro-kernel does not exist".into());
    };
    obstacle(implementation, &(peak.sizes)(1), peak.precision, profile)
}

/// Measures a peak of a device and checks what its micro-kernel computed.
///
/// # Errors
/// The peak is [`absent`], the micro-kernel's result is wrong, or the device is lost.
pub fn measure(profile: &Profile, make_engine: MakeEngine, peak: &'static Peak) -> Result<MeasuredPeak> {
    if let Some(why) = absent(peak, profile) {
        return Err(Error::setting(peak.about, "not there", format!("of an adapter that has it: {why}")));
    }
    let mut scale = 1;
    loop {
        let measured = Run::new(profile, make_engine, peak, scale)?.measure()?;
        let larger = scale * GROWTH;
        if measured.seconds >= LONG_ENOUGH || larger > peak.largest || !fits(peak, larger, profile) {
            return Ok(measured);
        }
        scale = larger;
    }
}

/// Whether each buffer of a run fits into one binding.
fn fits(peak: &Peak, scale: usize, profile: &Profile) -> bool {
    let lengths = (peak.contract.lengths)(&(peak.sizes)(scale));
    lengths.iter().all(|&length| 4 * length as u64 <= profile.binding_bytes.min(profile.buffer_bytes))
}

/// A micro-kernel with its buffers filled, ready to run.
struct Run {
    engine: Box<dyn Engine>,
    peak: &'static Peak,
    case: Case,
    /// What each binding of a tile holds after the twin has run.
    want: Vec<Values>,
}

impl Run {
    fn new(profile: &Profile, make_engine: MakeEngine, peak: &'static Peak, scale: usize) -> Result<Self> {
        let case = Case::new(peak.about, (peak.sizes)(scale));
        let tile = Case::new(peak.about, (peak.tile)(case.constants.clone()));
        let Peak { contract, implementation, precision, .. } = *peak;
        let start = fill(contract, &tile, precision);
        let variant = (contract, implementation, precision);
        let mut engine = make_engine(single_plan(variant, &case, profile, false, &Shaders::default())?)?;
        let lengths = (contract.lengths)(&case.constants);
        for (id, (values, length)) in start.iter().zip(lengths).enumerate() {
            let element = contract.bindings[id].element_in(precision);
            let bytes = values.bytes(element);
            engine.write(id, &bytes.repeat(element.bytes(length) as usize / bytes.len().max(1)))?;
        }
        let want = run_twin(contract, &tile, precision, &start);
        Ok(Self { engine, peak, want, case })
    }

    fn measure(mut self) -> Result<MeasuredPeak> {
        let seconds = sample(&mut *self.engine, Program::Train, &self.case.step, SAMPLING)?.fastest();
        self.check()?;
        let (peak, cost) = (self.peak, (self.peak.contract.cost)(&self.case.constants));
        let work = peak.unit.of(cost);
        Ok(MeasuredPeak { peak, per_second: work / seconds, seconds, cost })
    }

    /// Compares every tile of every binding with the twin's.
    fn check(&mut self) -> Result<()> {
        let contract = self.peak.contract;
        let tolerance = (contract.tolerance)(&self.case.constants);
        for (id, (binding, want)) in contract.bindings.iter().zip(&self.want).enumerate() {
            let got = self.engine.read(id)?;
            let want_bytes = want.bytes(binding.element_in(self.peak.precision));
            let right = |tile: &[u8]| match want {
                _ if tile == want_bytes => true,
                Values::Float(want) if binding.element_in(self.peak.precision) == Element::F32 => {
                    tolerance.measure(&bytemuck::pod_collect_to_vec(tile), want).passed
                }
                _ => false,
            };
            if let Some(number) = got.chunks(want_bytes.len().max(1)).position(|tile| !right(tile)) {
                let problem =
                    format!("{} computed a wrong {} in tile {number} of its run", contract.name, binding.name);
                let remedy = "do not trust this adapter; check it with galaxy-gpu kernels validate";
                return Err(Error::device(problem, remedy));
            }
        }
        Ok(())
    }
}

/// The two peaks that limit a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peaks {
    /// Flops a second.
    pub flops: f64,
    /// Bytes a second.
    pub bytes: f64,
}

/// Which of the two peaks limits a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Arithmetic.
    Flops,
    /// Memory.
    Bytes,
}

impl Peaks {
    /// The peaks of a device, for this kind of arithmetic.
    ///
    /// # Errors
    /// As [`measure`].
    pub fn measure(profile: &Profile, make_engine: MakeEngine, arithmetic: &'static Peak) -> Result<Self> {
        let [flops, bytes] = [arithmetic, &COPY_BANDWIDTH].map(|peak| measure(profile, make_engine, peak));
        Ok(Self { flops: flops?.per_second, bytes: bytes?.per_second })
    }

    /// The fraction of the nearer peak that work of this cost and duration reaches, and which peak that is. The fraction may
    /// exceed one for data in a cache, as the bandwidth is that of memory.
    pub fn fraction(&self, cost: Cost, seconds: f64) -> (f64, Bound) {
        let (arithmetic, memory) = (cost.flops / self.flops, cost.bytes / self.bytes);
        let bound = if arithmetic >= memory { Bound::Flops } else { Bound::Bytes };
        (arithmetic.max(memory) / seconds, bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{CpuEngine, Gpu, GpuEngine};
    use crate::kernels::peak::F32_FMA;
    use crate::simd::InstructionSet;

    const PEAKS: Peaks = Peaks { flops: 100.0, bytes: 10.0 };

    #[test]
    fn arithmetic_limits_work_of_high_intensity() {
        // 200 flops take 2 s at least, 5 bytes half a second
        assert_eq!(PEAKS.fraction(Cost { flops: 200.0, bytes: 5.0 }, 4.0), (0.5, Bound::Flops));
    }

    #[test]
    fn memory_limits_work_of_low_intensity() {
        assert_eq!(PEAKS.fraction(Cost { flops: 1.0, bytes: 5.0 }, 1.0), (0.5, Bound::Bytes));
        assert_eq!(PEAKS.fraction(Cost { flops: 0.0, bytes: 40.0 }, 2.0), (2.0, Bound::Bytes));
    }

    #[test]
    fn at_the_ridge_both_fractions_agree() {
        let (fraction, _) = PEAKS.fraction(Cost { flops: 100.0, bytes: 10.0 }, 1.0);
        assert_eq!(fraction, 1.0);
    }

    fn a_wrong_result_is_an_error(profile: &Profile, make_engine: MakeEngine) {
        let mut run = Run::new(profile, make_engine, &F32_FMA, 1).unwrap();
        let message = run.check().unwrap_err().to_string();
        assert!(message.contains("peak.fma computed a wrong output in tile 0"), "nothing has run yet: {message}");
        run.engine.run(Program::Train, &[run.case.step]).unwrap();
        run.check().unwrap();
        let output = run.engine.plan().tensor("output").unwrap();
        let mut bytes = run.engine.read(output).unwrap();
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&[1; 4]);
        run.engine.write(output, &bytes).unwrap();
        assert!(
            run.check().unwrap_err().to_string().contains("in tile 4095"),
            "the last float of 2^18 threads is wrong"
        );
    }

    #[test]
    #[cfg_attr(no_adapter, ignore = "needs an adapter")]
    fn a_wrong_result_of_an_adapter_is_an_error() {
        let gpu = Gpu::for_tests();
        a_wrong_result_is_an_error(gpu.profile(), &|plan| Ok(Box::new(GpuEngine::new(&gpu, plan, false)?)));
    }

    #[test]
    fn a_wrong_result_of_a_native_kernel_is_an_error() {
        let set = InstructionSet::fastest();
        let make_engine: MakeEngine = &|plan| Ok(Box::new(CpuEngine::native(plan, set)));
        a_wrong_result_is_an_error(&Profile::native(set), make_engine);
    }

    #[test]
    fn a_peak_that_cannot_run_is_absent() {
        assert_eq!(absent(&F32_FMA, &Profile::webgpu()), None);
        static LOST: Peak = Peak { implementation: "no such", ..F32_FMA };
        assert!(absent(&LOST, &Profile::webgpu()).is_some());
    }
}
