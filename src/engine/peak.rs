//! An adapter's ceilings, measured by its micro-kernels, and how near to them a piece of work comes.
//!
//! A micro-kernel runs as any other kernel: as a plan of one call, on the engine that trains.

use super::measure::{Sampling, sample};
use super::validate::{Compile, Values, fill, run_twin, single_engine};
use super::{Engine, Gpu, GpuEngine};
use crate::error::{Error, Result};
use crate::kernels::peak::{COPY_BANDWIDTH, Ceiling};
use crate::kernels::{Case, Cost, Element};
use crate::plan::{Profile, Program, obstacle};
use std::sync::Arc;

/// A ceiling as it was measured.
#[derive(Clone, Copy)]
pub struct Peak {
    /// Which.
    pub ceiling: &'static Ceiling,
    /// Flops or bytes a second, in the fastest of several measurements.
    pub per_second: f64,
    /// Seconds of one run.
    pub seconds: f64,
    /// Work of one run.
    pub cost: Cost,
}

/// A run shorter than this is mostly its beginning and end.
const LONG_ENOUGH: f64 = 2e-3;
/// How much a run grows where it is too short.
const GROWTH: usize = 8;
/// Long samples, as a GPU that was idle takes a while to reach its clock.
const SAMPLING: Sampling = Sampling { samples: 5, seconds: 0.1, most_repeats: 500, budget: 2.0 };

/// Why an adapter has no such ceiling; `None` where it has.
pub fn absent(ceiling: &Ceiling, profile: &Profile) -> Option<String> {
    let Some(implementation) = ceiling.contract.implementation(ceiling.implementation) else {
        return Some("its micro-kernel does not exist".into());
    };
    obstacle(implementation, &(ceiling.sizes)(1), ceiling.precision, profile)
}

/// Measures a ceiling and checks what its micro-kernel computed.
///
/// # Errors
/// A ceiling that is [`absent`], a micro-kernel whose result is wrong, a lost device.
pub fn measure(gpu: &Arc<Gpu>, ceiling: &'static Ceiling) -> Result<Peak> {
    if let Some(why) = absent(ceiling, gpu.profile()) {
        return Err(Error::setting(ceiling.about, "not there", format!("of an adapter that has it: {why}")));
    }
    let mut scale = 1;
    loop {
        let run = Run::new(gpu, ceiling, scale)?;
        let (peak, larger) = (run.measure(), scale * GROWTH);
        let peak = peak?;
        if peak.seconds >= LONG_ENOUGH || larger > ceiling.largest || !fits(ceiling, larger, gpu.profile()) {
            return Ok(peak);
        }
        scale = larger;
    }
}

/// Whether each buffer of a run fits into one binding.
fn fits(ceiling: &Ceiling, scale: usize, profile: &Profile) -> bool {
    let lengths = (ceiling.contract.lengths)(&(ceiling.sizes)(scale));
    lengths.iter().all(|&length| 4 * length as u64 <= profile.binding_bytes.min(profile.buffer_bytes))
}

/// A micro-kernel with its buffers filled, ready to run.
struct Run {
    engine: GpuEngine,
    ceiling: &'static Ceiling,
    case: Case,
    /// What the tile's twin leaves in each binding.
    want: Vec<Values>,
}

impl Run {
    fn new(gpu: &Arc<Gpu>, ceiling: &'static Ceiling, scale: usize) -> Result<Self> {
        let case = Case::new(ceiling.about, (ceiling.sizes)(scale));
        let tile = Case::new(ceiling.about, (ceiling.tile)(case.constants.clone()));
        let Ceiling { contract, implementation, precision, .. } = *ceiling;
        let start = fill(contract, &tile, precision);
        let mut engine = single_engine(gpu, (contract, implementation, precision), &case, false, &Compile::own(false))?;
        let lengths = (ceiling.contract.lengths)(&case.constants);
        for (id, (values, length)) in start.iter().zip(lengths).enumerate() {
            let element = contract.bindings[id].element_in(precision);
            let bytes = values.bytes(element);
            engine.write(id, &bytes.repeat(element.bytes(length) as usize / bytes.len().max(1)))?;
        }
        let want = run_twin(contract, &tile, precision, &start);
        Ok(Self { engine, ceiling, want, case })
    }

    fn measure(mut self) -> Result<Peak> {
        let seconds = sample(&mut self.engine, Program::Train, &self.case.step, SAMPLING)?.fastest();
        self.check()?;
        let (ceiling, cost) = (self.ceiling, (self.ceiling.contract.cost)(&self.case.constants));
        let work = ceiling.unit.of(cost);
        Ok(Peak { ceiling, per_second: work / seconds, seconds, cost })
    }

    /// Holds every tile of every binding to the twin's.
    fn check(&mut self) -> Result<()> {
        let contract = self.ceiling.contract;
        let tolerance = (contract.tolerance)(&self.case.constants);
        for (id, (binding, want)) in contract.bindings.iter().zip(&self.want).enumerate() {
            let got = self.engine.read(id)?;
            let want_bytes = want.bytes(binding.element_in(self.ceiling.precision));
            let right = |tile: &[u8]| match want {
                _ if tile == want_bytes => true,
                Values::Float(want) if binding.element_in(self.ceiling.precision) == Element::F32 => {
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

/// The two ceilings that bound a kernel from above.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roof {
    /// Flops a second.
    pub flops: f64,
    /// Bytes a second.
    pub bytes: f64,
}

/// Which ceiling is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Arithmetic.
    Flops,
    /// Memory.
    Bytes,
}

impl Roof {
    /// The roof of an adapter for this kind of arithmetic.
    ///
    /// # Errors
    /// As [`measure`].
    pub fn measure(gpu: &Arc<Gpu>, arithmetic: &'static Ceiling) -> Result<Self> {
        let [flops, bytes] = [measure(gpu, arithmetic)?, measure(gpu, &COPY_BANDWIDTH)?].map(|peak| peak.per_second);
        Ok(Self { flops, bytes })
    }

    /// Share of the nearer ceiling that work of this cost and duration reaches, and which ceiling that is. More than one
    /// is possible for what lies in a cache, as the bandwidth is the memory's.
    pub fn share(&self, cost: Cost, seconds: f64) -> (f64, Bound) {
        let (arithmetic, memory) = (cost.flops / self.flops, cost.bytes / self.bytes);
        let bound = if arithmetic >= memory { Bound::Flops } else { Bound::Bytes };
        (arithmetic.max(memory) / seconds, bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::peak::F32_FMA;

    const ROOF: Roof = Roof { flops: 100.0, bytes: 10.0 };

    #[test]
    fn work_of_high_intensity_meets_the_arithmetic_ceiling() {
        // 200 flops take 2 s at least, 5 bytes half a second
        assert_eq!(ROOF.share(Cost { flops: 200.0, bytes: 5.0 }, 4.0), (0.5, Bound::Flops));
    }

    #[test]
    fn work_of_low_intensity_meets_the_memory_ceiling() {
        assert_eq!(ROOF.share(Cost { flops: 1.0, bytes: 5.0 }, 1.0), (0.5, Bound::Bytes));
        assert_eq!(ROOF.share(Cost { flops: 0.0, bytes: 40.0 }, 2.0), (2.0, Bound::Bytes));
    }

    #[test]
    fn where_both_ceilings_meet_both_shares_agree() {
        let (share, _) = ROOF.share(Cost { flops: 100.0, bytes: 10.0 }, 1.0);
        assert_eq!(share, 1.0);
    }

    #[test]
    fn a_wrong_result_is_no_ceiling() {
        let Some(gpu) = Gpu::for_tests() else { return };
        let mut run = Run::new(&gpu, &F32_FMA, 1).unwrap();
        let message = run.check().unwrap_err().to_string();
        assert!(message.contains("peak.fma computed a wrong output in tile 0"), "nothing has run yet: {message}");
        run.engine.run(Program::Train, &[run.case.step]).unwrap();
        run.check().unwrap();
        let output = run.engine.plan().tensor("output").unwrap();
        let place = run.engine.plan().places[output];
        run.engine
            .write_place(crate::plan::Place { offset: place.offset + place.bytes - 4, ..place }, &[1; 4])
            .unwrap();
        assert!(
            run.check().unwrap_err().to_string().contains("in tile 4095"),
            "the last float of 2^18 threads is wrong"
        );
    }

    #[test]
    fn a_ceiling_that_cannot_run_is_absent() {
        assert_eq!(absent(&F32_FMA, &Profile::webgpu()), None);
        static LOST: Ceiling = Ceiling { implementation: "no such", ..F32_FMA };
        assert!(absent(&LOST, &Profile::webgpu()).is_some());
    }
}
