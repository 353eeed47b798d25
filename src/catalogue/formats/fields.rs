//! Descriptions of a table's columns for astronomers' tools, and the values of a row in the same order.

use super::OK;
use crate::catalogue::{Columns, Row, Verdict};
use crate::data::ItemInfo;
use std::collections::HashSet;

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::catalogue) enum Type {
    /// Text.
    Text,
    /// A whole number from 0.
    Whole,
    /// An `f64`.
    Double,
    /// An `f32`.
    Single,
}

/// A column.
#[derive(Clone, Debug)]
pub(in crate::catalogue) struct Field {
    /// Its name: unique, of letters, digits and `_`, as SQL, ADQL and FITS require.
    pub name: String,
    /// Type of its values.
    pub kind: Type,
    /// Their unit; empty for none.
    pub unit: &'static str,
    /// What they mean (UCD1+ controlled vocabulary, IVOA).
    pub ucd: &'static str,
    /// What they mean, in words.
    pub about: String,
}

/// All columns, in the order of [`Columns::names`].
pub(in crate::catalogue) fn fields(columns: &Columns) -> Vec<Field> {
    let field = |(name, kind, unit, ucd, about): (&str, Type, &'static str, &'static str, &str)| Field {
        name: name.to_owned(),
        kind,
        unit,
        ucd,
        about: about.to_owned(),
    };
    let mut fields: Vec<Field> = [
        ("id", Type::Text, "", "meta.id;meta.main", "Name of the item in its catalogue"),
        ("path", Type::Text, "", "meta.id;meta.file", "File of the item"),
        ("index", Type::Whole, "", "meta.record", "Number of the image in its file, from 0"),
        ("ra", Type::Double, "deg", "pos.eq.ra;meta.main", "Right ascension"),
        ("dec", Type::Double, "deg", "pos.eq.dec;meta.main", "Declination"),
    ]
    .map(field)
    .into();
    let mut taken: HashSet<String> =
        ["id", "path", "index", "ra", "dec", "class", "confidence", "entropy", "status"].map(str::to_owned).into();
    for class in &columns.classes {
        let name = unique(&format!("p_{}", safe(class)), &mut taken);
        let about = format!("Probability of the class {class}");
        fields.push(Field { name, ..field(("", Type::Single, "", "stat.probability", &about)) });
    }
    fields.extend(
        [
            ("class", Type::Text, "", "meta.code.class", "Most probable class; empty where the network abstains"),
            ("confidence", Type::Single, "", "stat.probability;stat.max", "Largest of the probabilities"),
            ("entropy", Type::Single, "", "stat.value", "Entropy of the probabilities, in nats"),
            ("status", Type::Text, "", "meta.code.status", "ok, or why the item could not be classified"),
        ]
        .map(field),
    );
    fields
}

/// `text` with one `_` in place of other characters than ASCII letters and digits.
fn safe(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

/// A name that differs from the taken ones in more than its capitals.
fn unique(name: &str, taken: &mut HashSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    // there are fewer names taken than numbers
    names.find(|name| taken.insert(name.to_ascii_lowercase())).unwrap_or_default()
}

/// A value of a row; `None` where it is missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::catalogue) enum Value<'a> {
    /// Of [`Type::Text`].
    Text(Option<&'a str>),
    /// Of [`Type::Whole`].
    Whole(Option<u64>),
    /// Of [`Type::Double`].
    Double(Option<f64>),
    /// Of [`Type::Single`].
    Single(Option<f32>),
}

/// A row's values, in the order of [`Columns::names`].
pub(super) fn values<'a>(columns: &'a Columns, row: &'a Row) -> Vec<Value<'a>> {
    let ItemInfo { id, path, index, ra, dec } = &row.about;
    let id = Some(&id[..]).filter(|id| !id.is_empty());
    let mut values = Vec::with_capacity(columns.classes.len() + 9);
    values.extend([Value::Text(id), Value::Text(Some(path)), Value::Whole(*index)]);
    values.extend([*ra, *dec].map(Value::Double));
    match &row.outcome {
        Ok(probabilities) => {
            let verdict = Verdict::of(probabilities);
            values.extend(probabilities.iter().map(|&probability| Value::Single(Some(probability))));
            values.push(Value::Text(columns.class(verdict)));
            values.extend([verdict.confidence, verdict.entropy].map(|number| Value::Single(Some(number))));
            values.push(Value::Text(Some(OK)));
        }
        Err(reason) => {
            values.extend(columns.classes.iter().map(|_| Value::Single(None)));
            values.extend([Value::Text(None), Value::Single(None), Value::Single(None), Value::Text(Some(reason))]);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_differ() {
        let classes = ["Round Smooth Galaxies", "round-smooth galaxies", "Edge-on (no bulge)", "é", "ü"];
        let columns = Columns { classes: classes.map(String::from).to_vec(), min_confidence: 0.0 };
        let fields = fields(&columns);
        let names: Vec<&str> = fields[5..10].iter().map(|field| &field.name[..]).collect();
        assert_eq!(names, ["p_Round_Smooth_Galaxies", "p_round_smooth_galaxies_2", "p_Edge_on_no_bulge", "p_", "p__2"]);
        assert_eq!(fields.len(), columns.names().len());
        assert!(fields[7].about.ends_with("Edge-on (no bulge)"));
        // each value is of its column's type
        for outcome in [Ok(vec![0.2; 5]), Err("no".to_owned())] {
            let row = Row { about: ItemInfo::default(), outcome };
            for (field, value) in fields.iter().zip(values(&columns, &row)) {
                let kind = match value {
                    Value::Text(_) => Type::Text,
                    Value::Whole(_) => Type::Whole,
                    Value::Double(_) => Type::Double,
                    Value::Single(_) => Type::Single,
                };
                assert_eq!(kind, field.kind, "{}", field.name);
            }
        }
    }
}
