//! Descriptions of a table's columns for astronomers' tools, and the values of a row in the same order.

use super::{Format, OK};
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
    /// Its name: unique, of letters, digits and `_`, as SQL and ADQL require; in FITS of ASCII and short.
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

/// Most bytes of a name in FITS: those of a text in one card.
const LONGEST_FITS_NAME: usize = 68;
/// Room in a name for the number that makes it unique: 256 classes.
const NUMBER: usize = 4;

/// All columns, in the order of [`Columns::names`], as a table of this format names them.
pub(in crate::catalogue) fn fields(columns: &Columns, format: Format) -> Vec<Field> {
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
    for (number, class) in columns.classes.iter().enumerate() {
        let name = if format == Format::Fits { latin(class, number) } else { safe(class) };
        let name = unique(&format!("p_{name}"), &mut taken);
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

/// `text` with one `_` in place of blanks, signs and punctuation; letters of any script stay.
fn safe(text: &str) -> String {
    let between = |c: char| c.is_whitespace() || c.is_ascii() && !c.is_ascii_alphanumeric();
    text.split(between).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
}

/// The name of a class in FITS: its ASCII letters and digits as far as there is room, else its number.
fn latin(class: &str, number: usize) -> String {
    let words = class.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut name = words.collect::<Vec<_>>().join("_");
    name.truncate(LONGEST_FITS_NAME - "p_".len() - NUMBER);
    if name.is_empty() { format!("class_{number}") } else { name }
}

/// A name that differs from the taken ones in more than its capitals.
fn unique(name: &str, taken: &mut HashSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    // there are fewer names taken than numbers
    names.find(|name| taken.insert(name.to_lowercase())).unwrap_or_default()
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
        let classes = ["Round Smooth Galaxies", "round-smooth galaxies", "Edge-on (no bulge)", "é", "渦巻 銀河"];
        let columns = Columns { classes: classes.map(String::from).to_vec(), min_confidence: 0.0 };
        let names = |format| -> Vec<String> {
            fields(&columns, format)[5..10].iter().map(|field| field.name.clone()).collect()
        };
        let ascii = ["p_Round_Smooth_Galaxies", "p_round_smooth_galaxies_2", "p_Edge_on_no_bulge"];
        assert_eq!(names(Format::Fits), [&ascii[..], &["p_class_3", "p_class_4"]].concat());
        assert_eq!(names(Format::VoTable), [&ascii[..], &["p_é", "p_渦巻_銀河"]].concat());
        let fields = fields(&columns, Format::Parquet);
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

    /// FITS Standard 4.0: a text in a card has at most 68 characters; astropy and TOPCAT read no longer names.
    #[test]
    fn no_name_is_longer_than_fits_allows() {
        let classes = (0..256).map(|number| format!("{} {number}", "long ".repeat(30))).collect();
        let fields = fields(&Columns { classes, min_confidence: 0.0 }, Format::Fits);
        let names: HashSet<&str> = fields.iter().map(|field| &field.name[..]).collect();
        assert_eq!(names.len(), fields.len());
        assert!(names.iter().all(|name| name.len() <= LONGEST_FITS_NAME), "{names:?}");
    }
}
