//! Chooses the implementation of a call, and says why.

use super::{Options, Profile};
use crate::error::{Error, Result};
use crate::graph::Call;
use crate::kernels::{Adapters, Constants, Contract, Implementation, Native, Precision, Shaders};
use crate::suggest::did_you_mean;
use std::fmt;

/// A user's choice: `conv2d.forward=direct`, or `conv2d.forward@conv2d_2=direct` for one layer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Choice {
    contract: String,
    /// Its layer; `None` for all layers.
    layer: Option<String>,
    implementation: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let layer = self.layer.as_ref().map_or(String::new(), |layer| format!("@{layer}"));
        write!(f, "{}{layer}={}", self.contract, self.implementation)
    }
}

impl From<Choice> for String {
    fn from(choice: Choice) -> Self {
        choice.to_string()
    }
}

impl TryFrom<String> for Choice {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl Choice {
    /// A choice for one layer.
    pub fn of_layer(contract: &str, layer: &str, implementation: &str) -> Self {
        let [contract, layer, implementation] = [contract, layer, implementation].map(str::to_owned);
        Self { contract, layer: Some(layer), implementation }
    }

    /// Name of its contract.
    pub fn contract(&self) -> &str {
        &self.contract
    }

    /// Its layer; `None` for all layers.
    pub fn layer(&self) -> Option<&str> {
        self.layer.as_deref()
    }

    /// Whether it applies to this contract in this layer.
    pub fn is_for(&self, contract: &str, layer: &str) -> bool {
        self.contract == contract && self.layer.as_ref().is_none_or(|own| own == layer)
    }

    /// Refuses an implementation that does not exist, neither in the registry nor among a user's shaders.
    ///
    /// # Errors
    /// [`Error::Setting`] with the names that exist.
    pub fn check(&self, shaders: &Shaders) -> Result<()> {
        let Self { contract, implementation, .. } = self;
        let found =
            crate::kernels::find(contract).map(|contract| shaders.implementations(contract)).unwrap_or_default();
        let names: Vec<&str> = found.iter().map(|implementation| implementation.name).collect();
        let native = crate::kernels::find(contract).map_or(&[][..], |contract| contract.native);
        let native: Vec<&str> = native.iter().map(|native| native.name).filter(|name| !names.contains(name)).collect();
        let known = || names.iter().chain(&native).copied();
        if known().any(|name| name == implementation) {
            return Ok(());
        }
        let near = did_you_mean(implementation, known());
        let only_native =
            if native.is_empty() { String::new() } else { format!("; natively also {}", native.join(", ")) };
        let allowed = format!("one of {contract}'s implementations: {}{only_native}{near}", names.join(", "));
        Err(Error::setting("--use", format!("\"{self}\""), allowed))
    }
}

/// Checks the form of a choice and whether its contract exists; [`Choice::check`] checks the implementation.
impl std::str::FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |allowed: String| Error::setting("--use", format!("\"{text}\""), allowed);
        let form = "written as conv2d.forward=direct, or conv2d.forward@conv2d_2=direct for one layer";
        let (called, implementation) = text.split_once('=').ok_or_else(|| refuse(form.into()))?;
        let (contract, layer) = match called.split_once('@') {
            Some((_, "")) => return Err(refuse(form.into())),
            Some((contract, layer)) => (contract, Some(layer.to_owned())),
            None => (called, None),
        };
        if crate::kernels::find(contract).is_none() {
            let names: Vec<&str> = crate::kernels::registry().iter().map(|c| c.name).collect();
            let near = did_you_mean(contract, names.iter().copied());
            return Err(refuse(format!("for one of the contracts {}{near}", names.join(", "))));
        }
        Ok(Self { contract: contract.to_owned(), layer, implementation: implementation.to_owned() })
    }
}

/// The implementation for a call, with the reason in words: the user's choice if it can run, or else the first that can.
///
/// # Errors
/// No implementation can run.
pub fn select(call: &Call, profile: &Profile, options: &Options) -> Result<(&'static Implementation, String)> {
    let Some(choice) = options.choice(call) else { return first_that_runs(call, profile) };
    match objection(choice, call, profile, &options.shaders) {
        Ok(implementation) => Ok((implementation, "chosen by --use".into())),
        Err(why) => {
            let (implementation, reason) = first_that_runs(call, profile)?;
            Ok((implementation, format!("not {} of --use: {why}; {reason}", choice.implementation)))
        }
    }
}

/// The chosen implementation, or why it cannot run a call.
fn objection(
    choice: &Choice,
    call: &Call,
    profile: &Profile,
    shaders: &Shaders,
) -> std::result::Result<&'static Implementation, String> {
    let chosen =
        shaders.implementation(call.contract, &choice.implementation).ok_or("it runs with --device native only")?;
    obstacle(chosen, &call.constants, call.precision, profile).map_or(Ok(chosen), Err)
}

/// Refuses implementations that do not exist, or that none of their contract's calls can run. It is enough if one can, as some layers
/// may be too small for a kernel.
///
/// # Errors
/// There is such a choice; the message gives the reason of the first call.
pub fn check_choices(calls: &[&Call], profile: &Profile, options: &Options) -> Result<()> {
    for choice in &options.choices {
        choice.check(&options.shaders)?;
        let mut objections = Vec::new();
        let of_contract = calls.iter().filter(|call| choice.is_for(call.contract.name, &call.layer));
        let objection = |call: &Call| match profile.kind.is_native() {
            true => native_objection(choice, call, profile).err().map(str::to_owned),
            false => objection(choice, call, profile, &options.shaders).err(),
        };
        let followed = of_contract.clone().any(|call| match objection(call) {
            None => true,
            Some(why) => {
                objections.push((call.layer.clone(), why));
                false
            }
        });
        if let (false, Some((layer, why))) = (followed, objections.into_iter().next()) {
            let got = format!("\"{choice}\"");
            let allowed = format!("one that at least one layer can run ({layer}: {why}); drop it");
            return Err(Error::setting("--use", got, allowed));
        }
    }
    Ok(())
}

/// The native kernel for a call, with the reason in words: the user's choice if it can run, or else the first that can, or else the twin.
/// `None` where the profile runs WGSL.
pub(super) fn select_native(call: &Call, profile: &Profile, options: &Options) -> Option<(&'static str, String)> {
    if !profile.kind.is_native() {
        return None;
    }
    if let Some(choice) = options.choice(call) {
        return Some(match native_objection(choice, call, profile) {
            Ok(native) => (native.name, "chosen by --use".into()),
            Err(why) => {
                let (name, reason) = first_native(call, profile);
                (name, format!("not {} of --use: {why}; {reason}", choice.implementation))
            }
        });
    }
    Some(first_native(call, profile))
}

fn first_native(call: &Call, profile: &Profile) -> (&'static str, String) {
    let mut passed_over = Vec::new();
    for native in call.contract.native {
        match native_obstacle(native, &call.constants, profile) {
            None if passed_over.is_empty() => return (native.name, "best of its contract".into()),
            None => return (native.name, passed_over.join("; ")),
            Some(why) => passed_over.push(format!("not {}: {why}", native.name)),
        }
    }
    ("twin", "no native kernel is written yet".into())
}

/// Why a native plan does not follow a choice of a kernel for adapters.
const WGSL: &str = "it is WGSL, and native kernels run none: add --device software";

/// The chosen native kernel, or why it cannot run a call.
fn native_objection(
    choice: &Choice,
    call: &Call,
    profile: &Profile,
) -> std::result::Result<&'static Native, &'static str> {
    let chosen = call.contract.native(&choice.implementation).ok_or(WGSL)?;
    native_obstacle(chosen, &call.constants, profile).map_or(Ok(chosen), Err)
}

/// Why a native kernel cannot run with these constants; `None` if it can.
pub fn native_obstacle(native: &Native, constants: &Constants, profile: &Profile) -> Option<&'static str> {
    if !(native.accepts)(constants) {
        Some("these sizes do not fit its tiles")
    } else if profile.exact && !native.is_direct() {
        Some("its sums are not direct, and --precision exact asks for that")
    } else {
        None
    }
}

fn first_that_runs(call: &Call, profile: &Profile) -> Result<(&'static Implementation, String)> {
    let contract = call.contract;
    let mut passed_over = Vec::new();
    for implementation in contract.implementations {
        match obstacle(implementation, &call.constants, call.precision, profile)
            .or_else(|| unsuited(implementation, profile))
        {
            None if passed_over.is_empty() => return Ok((implementation, "best of its contract".into())),
            None => return Ok((implementation, passed_over.join("; "))),
            Some(why) => passed_over.push(format!("not {}: {why}", implementation.name)),
        }
    }
    Err(Error::device(
        format!("{} has no implementation here: {}", contract.name, passed_over.join("; ")),
        "use --device native",
    ))
}

/// The implementations that a plan would consider for a contract with these constants, best first.
pub fn candidates(
    contract: &Contract,
    constants: &Constants,
    precision: Precision,
    profile: &Profile,
    shaders: &Shaders,
) -> Vec<&'static Implementation> {
    let able = |implementation: &&Implementation| obstacle(implementation, constants, precision, profile).is_none();
    let suited = |implementation: &&Implementation| unsuited(implementation, profile).is_none();
    shaders.implementations(contract).into_iter().filter(able).filter(suited).collect()
}

/// Why a plan does not choose an implementation that could run, unless the user insists.
fn unsuited(implementation: &Implementation, profile: &Profile) -> Option<String> {
    match (implementation.needs.adapters, profile.kind.is_software()) {
        (Adapters::Software, false) => Some("it is for software adapters".to_owned()),
        (Adapters::Hardware, true) => Some("it is for hardware adapters".to_owned()),
        _ => None,
    }
}

/// Why an implementation cannot run with these constants in this precision on this adapter; `None` if it can.
pub fn obstacle(
    implementation: &Implementation,
    constants: &Constants,
    precision: Precision,
    profile: &Profile,
) -> Option<String> {
    let needs = implementation.needs;
    if !(implementation.accepts)(constants) {
        Some("these sizes do not fit its tiles".into())
    } else if needs.precision.is_some_and(|only| only != precision) {
        Some(format!("it is not for {precision}"))
    } else if precision == Precision::Mixed && !profile.f16 {
        Some("the adapter has no 16-bit floats".into())
    } else if needs.matrix && profile.matrix.is_none() {
        Some("the adapter has no cooperative matrices with f16 factors and f32 sums".into())
    } else if needs.workgroup_bytes > profile.workgroup_bytes {
        Some(format!("needs {} B of workgroup memory, adapter has {}", needs.workgroup_bytes, profile.workgroup_bytes))
    } else if needs.invocations > profile.invocations {
        Some(format!("needs {} threads a workgroup, adapter has {}", needs.invocations, profile.invocations))
    } else if needs.subgroup > 0 && profile.subgroup != (needs.subgroup, needs.subgroup) {
        let (least, most) = profile.subgroup;
        Some(format!("needs subgroups of {} threads, adapter has {least} to {most}", needs.subgroup))
    } else {
        None
    }
}
