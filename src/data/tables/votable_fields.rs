//! The columns of a VOTable, and their values as text and as bytes (IVOA Recommendation 1.4, sections 2.1, 4.1 and 5).

use std::collections::HashMap;

use super::{Cell, Described, LONGEST_ROW};

/// The types of a VOTable.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Primitive {
    Bit,
    Boolean,
    Byte,
    Short,
    Int,
    Long,
    Char,
    Unicode,
    Float,
    Double,
    FloatComplex,
    DoubleComplex,
}

/// Name, type and bytes of one value; eight bits are one byte.
const PRIMITIVES: &[(&str, Primitive, u64)] = &[
    ("bit", Primitive::Bit, 1),
    ("boolean", Primitive::Boolean, 1),
    ("unsignedbyte", Primitive::Byte, 1),
    ("short", Primitive::Short, 2),
    ("int", Primitive::Int, 4),
    ("long", Primitive::Long, 8),
    ("char", Primitive::Char, 1),
    ("unicodechar", Primitive::Unicode, 2),
    ("float", Primitive::Float, 4),
    ("double", Primitive::Double, 8),
    ("floatcomplex", Primitive::FloatComplex, 8),
    ("doublecomplex", Primitive::DoubleComplex, 16),
];

/// A column.
#[derive(Debug)]
pub(super) struct Field {
    name: String,
    ucd: String,
    /// Its unit; empty where there is none.
    pub unit: String,
    primitive: Primitive,
    /// Bytes of one value.
    bytes: u64,
    /// Number of values in a cell; `None` where each cell says its own.
    count: Option<u64>,
    /// The whole number that means null, as text.
    pub null: Option<String>,
}

impl Field {
    /// A column of these attributes, by their names in lower case.
    pub fn new(attributes: &HashMap<String, String>) -> Result<Self, String> {
        let text = |name: &str| attributes.get(name).cloned().unwrap_or_default();
        let named = Some(text("name")).filter(|name| !name.is_empty());
        let name = named.unwrap_or_else(|| text("id"));
        let kind = text("datatype");
        let found = PRIMITIVES.iter().find(|(known, ..)| kind.eq_ignore_ascii_case(known));
        let &(_, primitive, bytes) = found.ok_or_else(|| format!("its column {name} is of type {kind:?}"))?;
        let size = text("arraysize");
        let bad = || format!("its column {name} has the array size {size:?}");
        let count = match size.trim() {
            "" => Some(1),
            size if size.ends_with('*') => None,
            size => {
                let mut all = 1u64;
                for axis in size.split('x') {
                    let axis = axis.trim().parse().map_err(|_| bad())?;
                    all = all.checked_mul(axis).filter(|&all| all < 1 << 40).ok_or_else(bad)?;
                }
                Some(all)
            }
        };
        Ok(Self { name, ucd: text("ucd"), unit: text("unit"), primitive, bytes, count, null: None })
    }

    pub fn described(&self) -> Described {
        Described { name: self.name.clone(), ucd: self.ucd.clone() }
    }

    /// Refuses columns that are neither text nor one number.
    pub fn check(&self, name: &str) -> Result<(), String> {
        use Primitive::{Char, Double, Float, Unicode};
        let sound = match self.primitive {
            Char | Unicode => self.count.is_none_or(|count| count * self.bytes <= LONGEST_ROW as u64),
            Float | Double => self.count == Some(1),
            _ => self.count == Some(1) && self.is_whole(),
        };
        let kind = self.primitive;
        sound
            .then_some(())
            .ok_or_else(|| format!("has a column `{name}` that is neither text nor one number ({kind:?})"))
    }

    fn is_whole(&self) -> bool {
        matches!(self.primitive, Primitive::Byte | Primitive::Short | Primitive::Int | Primitive::Long)
    }

    /// Bytes of a cell; `None` where cells differ.
    pub fn fixed_bytes(&self) -> Option<u64> {
        self.count.map(|count| self.variable_bytes(count))
    }

    /// Bytes of `count` values (below 2^40).
    pub fn variable_bytes(&self, count: u64) -> u64 {
        if self.primitive == Primitive::Bit { count.div_ceil(8) } else { count * self.bytes }
    }

    /// The value of a text. A text that should be a number stays text, and its user reports it.
    pub fn parse(&self, text: &str) -> Cell {
        let number = text.trim();
        let whole = || number.parse().map_or_else(|_| Cell::text(text.as_bytes()), Cell::Whole);
        match self.primitive {
            Primitive::Char | Primitive::Unicode => Cell::text(text.as_bytes()),
            _ if number.is_empty() => Cell::Null,
            Primitive::Float => number.parse().map_or_else(|_| Cell::text(text.as_bytes()), Cell::single),
            Primitive::Double => number.parse().map_or_else(|_| Cell::text(text.as_bytes()), Cell::double),
            _ => self.whole(whole()),
        }
    }

    /// The value of bytes.
    pub fn decode(&self, bytes: &[u8]) -> Cell {
        let text = |text: &str| {
            let end = text.find('\0').unwrap_or(text.len());
            // fixed fields are filled up
            let whole = if self.count.is_some() { text[..end].trim_end_matches(' ') } else { &text[..end] };
            Cell::text(whole.as_bytes())
        };
        match (self.primitive, bytes) {
            (Primitive::Char, _) => text(&String::from_utf8_lossy(bytes)),
            (Primitive::Unicode, _) => {
                let units: Vec<u16> =
                    bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
                text(&String::from_utf16_lossy(&units))
            }
            (Primitive::Float, &[a, b, c, d]) => Cell::single(f32::from_be_bytes([a, b, c, d])),
            (Primitive::Double, &[a, b, c, d, e, f, g, h]) => {
                Cell::double(f64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
            (Primitive::Byte, &[a]) => self.whole(Cell::Whole(a.into())),
            (Primitive::Short, &[a, b]) => self.whole(Cell::Whole(i16::from_be_bytes([a, b]).into())),
            (Primitive::Int, &[a, b, c, d]) => self.whole(Cell::Whole(i32::from_be_bytes([a, b, c, d]).into())),
            (Primitive::Long, &[a, b, c, d, e, f, g, h]) => {
                self.whole(Cell::Whole(i64::from_be_bytes([a, b, c, d, e, f, g, h]).into()))
            }
            _ => Cell::Null,
        }
    }

    /// A whole number, or null where it is the number that means null.
    fn whole(&self, cell: Cell) -> Cell {
        let null = self.null.as_deref().and_then(|null| null.trim().parse().ok());
        if null.is_some_and(|null| cell == Cell::Whole(null)) { Cell::Null } else { cell }
    }
}
