//! A layer as Keras describes it, and reading its settings.

use super::Refusal;
use crate::shape::Padding;
use serde_json::Value;

/// A layer of Keras.
#[derive(Clone, Debug)]
pub struct KerasLayer {
    /// Its class, such as `Conv2D`.
    pub class: String,
    /// Its name.
    pub name: String,
    /// Its settings.
    pub config: Value,
}

/// Largest number that a setting may be.
const LARGEST: u64 = 1 << 20;

impl KerasLayer {
    /// A refusal that names the layer.
    pub fn refuse(&self, problem: &str, remedy: &str) -> Refusal {
        (format!("layer {} ({}) {problem}", self.name, self.class), remedy.to_owned())
    }

    /// Refuses a setting with another value.
    ///
    /// # Errors
    /// The refusal.
    pub fn must(&self, name: &str, holds: impl Fn(&Value) -> bool, wanted: &str) -> Result<(), Refusal> {
        match &self.config[name] {
            value if holds(value) => Ok(()),
            value => Err(self.refuse(&format!("has {name} = {value}"), &format!("only {wanted} is supported"))),
        }
    }

    /// Checks the settings that every layer has.
    ///
    /// # Errors
    /// One that this program does not have.
    pub fn check_common(&self) -> Result<(), Refusal> {
        let last = |value: &Value| value.is_null() || value == "channels_last";
        self.must("data_format", last, "channels_last")?;
        self.must("quantization_config", Value::is_null, "no quantization")?;
        self.must("lora_rank", Value::is_null, "no low-rank adaptation")?;
        let policy = &self.config["dtype"];
        let name = policy.as_str().or(policy["config"]["name"].as_str()).unwrap_or("float32");
        // In mixed precision Keras keeps weights as f32.
        if !["float32", "float64", "float16", "mixed_float16", "mixed_bfloat16"].contains(&name) {
            return Err(self.refuse(&format!("has the type {name}"), "save the model in float32"));
        }
        Ok(())
    }

    /// A switch.
    ///
    /// # Errors
    /// Another value.
    pub fn flag(&self, name: &str, absent: bool) -> Result<bool, Refusal> {
        match &self.config[name] {
            Value::Null => Ok(absent),
            Value::Bool(flag) => Ok(*flag),
            other => Err(self.refuse(&format!("has {name} = {other}"), "save it again with Keras")),
        }
    }

    /// A size.
    ///
    /// # Errors
    /// No number from 1 to 2^20.
    pub fn size(&self, name: &str) -> Result<usize, Refusal> {
        let value = &self.config[name];
        size(value).ok_or_else(|| self.refuse(&format!("has {name} = {value}"), &format!("use 1 to {LARGEST}")))
    }

    /// A number for both rows and columns, given once or twice; none where it is absent.
    ///
    /// # Errors
    /// Two different numbers, or none from 1 to 2^20.
    pub fn square(&self, name: &str) -> Result<Option<usize>, Refusal> {
        let value = &self.config[name];
        let number = match value {
            Value::Null => return Ok(None),
            Value::Array(pair) if pair.len() == 2 && pair[0] == pair[1] => size(&pair[0]),
            other => size(other),
        };
        let refuse = || self.refuse(&format!("has {name} = {value}"), "use the same number for rows and columns");
        number.map(Some).ok_or_else(refuse)
    }

    /// The treatment of the border.
    ///
    /// # Errors
    /// Another one than "same" and "valid".
    pub fn padding(&self) -> Result<Padding, Refusal> {
        match self.config["padding"].as_str() {
            Some("same") => Ok(Padding::Same),
            Some("valid") => Ok(Padding::Valid),
            None if self.config["padding"].is_null() => Ok(Padding::Valid),
            _ => Err(self.refuse(&format!("has padding = {}", self.config["padding"]), "use \"same\" or \"valid\"")),
        }
    }
}

fn size(value: &Value) -> Option<usize> {
    value.as_u64().filter(|size| (1..=LARGEST).contains(size)).map(|size| size as usize)
}
