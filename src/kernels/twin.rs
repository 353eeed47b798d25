//! Twins: the same operation as plain loops over slices, with the same bindings in the same order as the shader.

use super::{Constants, StepParams};
use crate::simd::InstructionSet;

/// f32 for parity with the shaders, f64 for gradient checks.
pub trait Real:
    num_traits::Float + num_traits::NumAssign + std::iter::Sum + Send + Sync + std::fmt::Debug + 'static
{
    /// The nearest value of this type.
    fn of(value: f64) -> Self;
    /// This value in f64.
    fn wide(self) -> f64;
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }
    fn wide(self) -> f64 {
        self.into()
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn wide(self) -> f64 {
        self
    }
}

/// A read-only binding.
#[derive(Clone, Copy)]
pub enum View<'a, T> {
    /// Floats.
    Float(&'a [T]),
    /// Integers.
    Index(&'a [u32]),
}

/// A binding that is written.
pub enum ViewMut<'a, T> {
    /// Floats.
    Float(&'a mut [T]),
    /// Integers.
    Index(&'a mut [u32]),
}

impl<'a, T> ViewMut<'a, T> {
    /// The `length` elements after the first `skip`, and those after them.
    pub fn split(self, skip: usize, length: usize) -> (Self, Self) {
        fn cut<U>(values: &mut [U], skip: usize, length: usize) -> (&mut [U], &mut [U]) {
            values[skip..].split_at_mut(length)
        }
        match self {
            Self::Float(values) => {
                let (part, rest) = cut(values, skip, length);
                (Self::Float(part), Self::Float(rest))
            }
            Self::Index(values) => {
                let (part, rest) = cut(values, skip, length);
                (Self::Index(part), Self::Index(rest))
            }
        }
    }

    /// The same binding for a twin that this one is composed of.
    pub fn reborrow(&mut self) -> ViewMut<'_, T> {
        match self {
            Self::Float(values) => ViewMut::Float(values),
            Self::Index(values) => ViewMut::Index(values),
        }
    }
}

/// Arguments of a twin: bindings split into reads and writes, each numbered from 0.
///
/// The accessors panic on a wrong number or type: a mistake in a contract, which each of its tests meets.
pub struct Args<'a, T> {
    /// Sizes, switches and rates.
    pub constants: &'a Constants,
    /// What changes between steps.
    pub step: &'a StepParams,
    /// Read-only bindings.
    pub reads: Vec<View<'a, T>>,
    /// Written bindings, each taken once.
    pub writes: Vec<Option<ViewMut<'a, T>>>,
}

impl<'a, T> Args<'a, T> {
    /// Read binding `i`, floats.
    pub fn floats(&self, i: usize) -> &'a [T] {
        match self.reads[i] {
            View::Float(values) => values,
            View::Index(_) => panic!("read binding {i} holds integers"),
        }
    }

    /// Read binding `i`, integers.
    pub fn indices(&self, i: usize) -> &'a [u32] {
        match self.reads[i] {
            View::Index(values) => values,
            View::Float(_) => panic!("read binding {i} holds floats"),
        }
    }

    /// Takes written binding `i`, floats.
    pub fn floats_out(&mut self, i: usize) -> &'a mut [T] {
        match self.writes[i].take() {
            Some(ViewMut::Float(values)) => values,
            _ => panic!("written binding {i} is taken or holds integers"),
        }
    }

    /// Takes written binding `i`, integers.
    pub fn indices_out(&mut self, i: usize) -> &'a mut [u32] {
        match self.writes[i].take() {
            Some(ViewMut::Index(values)) => values,
            _ => panic!("written binding {i} is taken or holds floats"),
        }
    }
}

/// A kernel compiled for the CPU.
pub struct Native {
    /// Its name, unique among the contract's.
    pub name: &'static str,
    /// Whether it can run with these constants.
    pub accepts: fn(&Constants) -> bool,
    /// How many times larger than a direct sum's its rounding errors may be; 1 for direct sums.
    pub rounding: f64,
    /// Computes. It gets what a twin gets, and uses an instruction set on the threads of the pool that calls it.
    pub run: fn(Args<f32>, InstructionSet),
}

impl Native {
    /// Direct sums, for any constants.
    pub const fn direct(run: fn(Args<f32>, InstructionSet)) -> Self {
        Self { name: "direct", accepts: |_| true, rounding: 1.0, run }
    }

    /// Whether its sums are direct: as exact as f32 allows.
    pub fn is_direct(&self) -> bool {
        self.rounding <= 1.0
    }
}

/// A twin in both widths: `Twin { single: forward::<f32>, double: forward::<f64> }`.
#[derive(Clone, Copy)]
pub struct Twin {
    /// For parity with the shaders.
    pub single: fn(Args<f32>),
    /// For gradient checks.
    pub double: fn(Args<f64>),
}

/// Both widths of a generic twin.
#[macro_export]
macro_rules! twin {
    ($function:ident) => {
        $crate::kernels::Twin { single: $function::<f32>, double: $function::<f64> }
    };
}

/// Adds `factor * values` to `sums`, element by element.
pub(super) fn add_scaled<T: Real>(sums: &mut [T], values: &[T], factor: T) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum += value * factor;
    }
}
