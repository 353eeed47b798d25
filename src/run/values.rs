//! Values of settings as users write them.

use crate::error::{Error, Result};
use crate::simd::InstructionSet;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How the learning rate changes after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    /// It stays
    Constant,
    /// Half a cosine over --epochs, down to --final-rate
    Cosine,
    /// Times --schedule-factor after every --schedule-epochs
    Step,
    /// Times --schedule-factor when val_loss has not fallen for --schedule-epochs
    Plateau,
}

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// A GPU if there is one, else native
    Auto,
    /// A GPU, through the WGSL kernels
    Gpu,
    /// Kernels compiled for the CPU: many times as fast as a software driver, in f32
    Native,
    /// The WGSL kernels on a Vulkan driver that computes on the CPU, such as Mesa's llvmpipe
    Software,
    /// The CPU twins: slow, plain, and the reference for all others
    #[serde(alias = "cpu")]
    #[value(alias = "cpu")]
    Reference,
}

impl DeviceKind {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Gpu => "gpu",
            Self::Native => "native",
            Self::Software => "software",
            Self::Reference => "reference",
        }
    }

    /// Whether the CPU computes without a driver.
    pub const fn has_no_driver(self) -> bool {
        matches!(self, Self::Native | Self::Reference)
    }
}

/// Which instructions native kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CpuFeatures {
    /// The fastest that the processor has
    Auto,
    /// AVX-512
    Avx512,
    /// AVX2 and FMA: the same bits as AVX-512
    Avx2,
    /// NEON, of 64-bit ARM: the same bits as AVX2
    Neon,
    /// Those of every processor: slow
    Portable,
}

impl CpuFeatures {
    /// The set that this names.
    ///
    /// # Errors
    /// The processor lacks it.
    pub fn set(self) -> Result<InstructionSet> {
        let detected = InstructionSet::detected();
        if self == Self::Auto {
            return Ok(InstructionSet::fastest());
        }
        detected.iter().copied().find(|&set| Self::of(set) == self).ok_or_else(|| {
            let names: Vec<&str> = detected.iter().map(|&set| Self::of(set).name()).collect();
            let got = format!("{}, which this processor lacks", self.name());
            Error::setting("--cpu-features", got, format!("auto or one that it has: {}", names.join(", ")))
        })
    }

    /// What names this set.
    const fn of(set: InstructionSet) -> Self {
        match set {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512(_) => Self::Avx512,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2(_) => Self::Avx2,
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon(_) => Self::Neon,
            InstructionSet::Portable(_) => Self::Portable,
        }
    }

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }
}

/// How numbers are to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionChoice {
    /// Mixed where it is faster, else f32
    Auto,
    /// f32 throughout
    F32,
    /// f32, and no sum is rearranged to save products
    Exact,
    /// f16 with f32 sums
    Mixed,
}

/// Stores a switch as `on` or `off`.
pub(super) mod on_off {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(on: &bool, serializer: S) -> Result<S::Ok, S::Error> {
        (if *on { "on" } else { "off" }).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        match &String::deserialize(deserializer)?[..] {
            "on" => Ok(true),
            "off" => Ok(false),
            other => Err(D::Error::unknown_variant(other, &["on", "off"])),
        }
    }
}

/// A stretch of time as users write it: `90s`, `10m`, `2h`, `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];
/// Longest stretch of time: ten years.
const LONGEST: u64 = 10 * 365 * 86_400;

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || "give hours, minutes or seconds, such as 2h, 10m, 1h30m or 90s".to_owned();
        let mut seconds = 0u64;
        for part in text.split_inclusive(|letter: char| !letter.is_ascii_digit()) {
            let unit = UNITS.iter().find(|unit| part.ends_with(unit.0)).ok_or_else(refused)?;
            let number: u64 = part[..part.len() - 1].parse().map_err(|_| refused())?;
            seconds = number.checked_mul(unit.1).and_then(|more| seconds.checked_add(more)).ok_or_else(refused)?;
        }
        match seconds {
            1..=LONGEST => Ok(Self(Duration::from_secs(seconds))),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_secs();
        for (letter, unit) in UNITS.into_iter().filter(|unit| unit.1 <= self.0.as_secs()) {
            let count = left / unit;
            left %= unit;
            if count > 0 {
                write!(f, "{count}{letter}")?;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

/// Bytes of device memory for images, such as 512MiB; `None` for as many as there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DataMemory(pub Option<u64>);

impl FromStr for DataMemory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self(None));
        }
        let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
        let unit = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1_u64 << 30,
            _ => return Err("give auto, or a number of bytes, KiB, MiB or GiB".into()),
        };
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        bytes.map(|bytes| Self(Some(bytes))).ok_or_else(|| "give auto, or a number such as 512MiB".into())
    }
}

impl TryFrom<String> for DataMemory {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DataMemory> for String {
    fn from(memory: DataMemory) -> Self {
        memory.0.map_or("auto".into(), |bytes| bytes.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_as_people_write_it() {
        let seconds = |text: &str| text.parse::<Span>().ok().map(|span| span.0.as_secs());
        assert_eq!(
            [seconds("90s"), seconds("10m"), seconds("1h30m"), seconds("2d")],
            [90, 600, 5400, 172_800].map(Some)
        );
        for wrong in ["", "10", "m", "10 m", "-1m", "1.5h", "0s", "1µ", "99999999999999999999s", "9999999d", "10M"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
        for text in ["1d2h", "1m30s", "10m"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn memory_is_given_in_bytes_or_larger_units() {
        let bytes = |text: &str| text.parse::<DataMemory>().map(|memory| memory.0);
        assert_eq!([bytes("auto"), bytes("0"), bytes("7B")], [Ok(None), Ok(Some(0)), Ok(Some(7))]);
        assert_eq!([bytes("3KiB"), bytes("512MiB")], [Ok(Some(3072)), Ok(Some(512 << 20))]);
        assert_eq!(bytes("2GiB"), Ok(Some(2 << 30)));
        for wrong in ["", "MiB", "-1", "1.5GiB", "1 GiB", "1GB", "99999999999GiB", "Auto"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
