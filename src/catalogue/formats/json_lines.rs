//! One JSON object a line; what is missing is null.

use super::fields::{Value, values};
use super::{Lines, digits, parse};
use crate::catalogue::{Columns, Row};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

/// Lines of JSON.
pub(super) struct JsonLines {
    columns: Columns,
    names: Vec<String>,
}

impl JsonLines {
    pub fn new(columns: Columns) -> Self {
        Self { names: columns.names(), columns }
    }
}

fn json(value: Value) -> serde_json::Value {
    match value {
        Value::Text(text) => text.into(),
        Value::Whole(number) => number.into(),
        Value::Double(number) => number.into(),
        // As text first: as f64, an f32 would need more digits.
        Value::Single(number) => {
            number.and_then(|number| serde_json::from_str::<serde_json::Value>(&digits(number)).ok()).into()
        }
    }
}

impl Lines for JsonLines {
    fn head(&self) -> Vec<u8> {
        Vec::new()
    }

    fn lines(&self, rows: &[Row]) -> Vec<u8> {
        let mut text = Vec::new();
        for row in rows {
            let object: serde_json::Map<_, _> =
                self.names.iter().cloned().zip(values(&self.columns, row).into_iter().map(json)).collect();
            text.extend(serde_json::Value::Object(object).to_string().into_bytes());
            text.push(b'\n');
        }
        text
    }

    fn row(&mut self, line: &[u8]) -> Option<Row> {
        let fields: HashMap<Cow<str>, &RawValue> = serde_json::from_slice(line).ok()?;
        let field = |number: usize| fields.get(&self.names[number][..]).map(|value| value.get());
        (0..self.names.len()).all(|number| field(number).is_some()).then_some(())?;
        // Parsed from the digits, since a detour through f64 may round twice.
        parse(&self.columns, |number| match field(number)? {
            "null" => None,
            text if text.starts_with('"') => serde_json::from_str(text).ok().map(Cow::Owned),
            text => Some(Cow::Borrowed(text)),
        })
    }
}
