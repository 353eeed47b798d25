//! VOTables (IVOA Recommendation 1.4 and before): the first table with the wanted columns and its data in the file itself, as
//! TABLEDATA, BINARY or BINARY2.
//!
//! Why not the crate `votable` of CDS (0.7): it allocates as many bytes as a length in the file claims, panics where a stream ends
//! in another tag than it expects, and its rows simply end where the base64 is damaged; it also brings quick-xml 0.23 and serde_yaml.

use std::collections::HashMap;
use std::io::BufReader;
use std::path::Path;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::base64::Base64;
use super::limit::{LimitedFile, RowLimit};
use super::votable_fields::Field;
use super::{Cell, LONGEST_ROW, Rows, Wanted, find};

/// Most columns of a table.
const MOST_FIELDS: usize = 10_000;

/// How the rows are written.
enum Data {
    Text,
    /// `flags`: each row begins with flags of its null values.
    Binary {
        flags: bool,
        bytes: Base64,
    },
}

/// An open VOTable.
pub(super) struct VoTable {
    xml: Xml,
    data: Data,
    fields: Vec<Field>,
    /// For each column, the wanted cells that it fills.
    places: Vec<Vec<usize>>,
    wanted: usize,
    row: u64,
}

/// The events of the file, none longer than the limit.
struct Xml {
    reader: Reader<BufReader<LimitedFile>>,
    limit: RowLimit,
    buffer: Vec<u8>,
}

impl Xml {
    fn next(&mut self) -> Result<Event<'_>, String> {
        self.limit.reset();
        self.buffer.clear();
        self.reader.read_event_into(&mut self.buffer).map_err(|error| error.to_string())
    }
}

/// The attributes of an element by their names in lower case.
fn attributes(element: &BytesStart) -> Result<HashMap<String, String>, String> {
    let mut found = HashMap::new();
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value =
            attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|error| error.to_string())?.into_owned();
        found.insert(attribute.key.local_name().as_ref().to_ascii_lowercase(), value);
    }
    Ok(found)
}

/// What comes before the data.
struct Head {
    fields: Vec<Field>,
    in_field: bool,
    /// The data are BINARY2.
    flags: bool,
    /// The data are a FITS file.
    is_fits: bool,
}

impl Head {
    /// Reads an element; returns the data where they begin.
    fn meet(&mut self, element: &BytesStart) -> Result<Option<Data>, String> {
        match element.local_name().as_ref() {
            "TABLE" => (self.fields, self.is_fits) = (Vec::new(), false),
            "FIELD" if self.fields.len() == MOST_FIELDS => return Err("it has too many columns".into()),
            "FIELD" => {
                self.fields.push(Field::new(&attributes(element)?)?);
                self.in_field = true;
            }
            "VALUES" if self.in_field => {
                let null = attributes(element)?.remove("null").filter(|null| !null.is_empty());
                if let Some(field) = self.fields.last_mut() {
                    field.null = null;
                }
            }
            "BINARY" | "BINARY2" => self.flags = element.local_name().as_ref() == "BINARY2",
            "FITS" => self.is_fits = true,
            "TABLEDATA" => return Ok(Some(Data::Text)),
            "STREAM" => {
                let about = attributes(element)?;
                if self.is_fits || about.contains_key("href") || about.get("encoding").is_none_or(|way| way != "base64")
                {
                    return Err("its data are in another file, in FITS format, or not in base64".into());
                }
                return Ok(Some(Data::Binary { flags: self.flags, bytes: Base64::default() }));
            }
            _ => {}
        }
        Ok(None)
    }
}

impl VoTable {
    /// Opens the first table that has the columns.
    pub fn open(path: &Path, wanted: &[Wanted]) -> Result<Self, String> {
        let failed = |problem: String| format!("cannot be read ({problem})");
        let opened = LimitedFile::open(path, "a row or an element is longer than 1 MiB");
        let (file, limit) = opened.map_err(|error| failed(error.to_string()))?;
        let mut reader = Reader::from_reader(BufReader::new(file));
        reader.config_mut().expand_empty_elements = true;
        let mut xml = Xml { reader, limit, buffer: Vec::new() };
        let mut head = Head { fields: Vec::new(), in_field: false, flags: false, is_fits: false };
        let mut missing = "has no VOTable's TABLE with data".to_owned();
        loop {
            let data = match xml.next().map_err(failed)? {
                Event::Eof => return Err(missing),
                Event::Start(element) => head.meet(&element).map_err(failed)?,
                Event::End(end) => {
                    head.in_field &= end.local_name().as_ref() != "FIELD";
                    None
                }
                _ => None,
            };
            let Some(data) = data else { continue };
            let described: Vec<_> = head.fields.iter().map(Field::described).collect();
            match find(&described, wanted) {
                Err(problem) => missing = problem,
                Ok(found) => return Self::of(xml, data, head.fields, &found, wanted),
            }
        }
    }

    /// The table whose data begin here, with the columns that were found.
    fn of(
        xml: Xml,
        data: Data,
        fields: Vec<Field>,
        found: &[Option<usize>],
        wanted: &[Wanted],
    ) -> Result<Self, String> {
        let mut places = vec![Vec::new(); fields.len()];
        for (place, (found, wanted)) in found.iter().zip(wanted).enumerate() {
            if let Some(found) = *found {
                fields[found].check(&wanted.name)?;
                places[found].push(place);
            }
        }
        Ok(Self { xml, data, fields, places, wanted: wanted.len(), row: 0 })
    }

    fn text_row(&mut self) -> Result<Option<Vec<Cell>>, String> {
        let mut cells = vec![Cell::Null; self.wanted];
        let (mut column, mut text, mut in_row, mut in_cell) = (0, String::new(), false, false);
        loop {
            let piece = match self.xml.next()? {
                Event::Eof => return Err("the file is cut off".into()),
                Event::Start(element) => {
                    match element.local_name().as_ref() {
                        "TR" => in_row = true,
                        "TD" => in_cell = true,
                        _ => {}
                    }
                    continue;
                }
                Event::End(element) => {
                    match element.local_name().as_ref() {
                        "TR" if in_row => return Ok(Some(cells)),
                        "TABLEDATA" => return Ok(None),
                        "TD" => {
                            for &place in self.places.get(column).into_iter().flatten() {
                                cells[place] = self.fields[column].parse(&text);
                            }
                            (column, in_cell) = (column + 1, false);
                            text.clear();
                        }
                        _ => {}
                    }
                    continue;
                }
                Event::Text(piece) => piece.xml10_content().into_owned(),
                Event::CData(piece) => piece.xml10_content().into_owned(),
                Event::GeneralRef(name) => reference(&name)?,
                _ => continue,
            };
            if in_cell && self.places.get(column).is_some_and(|places| !places.is_empty()) {
                text += &piece;
            }
            if text.len() > LONGEST_ROW {
                return Err("a text is longer than 1 MiB".into());
            }
        }
    }
}

/// The text of `&name;`.
fn reference(name: &quick_xml::events::BytesRef) -> Result<String, String> {
    if let Some(character) = name.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character.to_string());
    }
    let known = quick_xml::escape::resolve_predefined_entity(name);
    known.map(str::to_owned).ok_or_else(|| format!("it refers to &{};", &**name))
}

impl Rows for VoTable {
    fn next(&mut self) -> Result<Option<Vec<Cell>>, String> {
        self.row += 1;
        let Data::Binary { flags, bytes } = &mut self.data else { return self.text_row() };
        // An event would hold the whole stream, so its text is read without events.
        let mut stream = self.xml.reader.stream();
        self.xml.limit.reset();
        if bytes.is_at_end(&mut stream)? {
            return Ok(None);
        }
        if !*flags && self.fields.iter().all(|field| field.fixed_bytes() == Some(0)) {
            return Err("its rows take no bytes".into());
        }
        let mut nulls = Vec::new();
        if *flags {
            bytes.take(&mut stream, self.fields.len().div_ceil(8) as u64, |part| nulls.extend_from_slice(part))?;
        }
        let mut cells = vec![Cell::Null; self.wanted];
        for (number, (field, places)) in self.fields.iter().zip(&self.places).enumerate() {
            self.xml.limit.reset();
            let mut count = field.fixed_bytes();
            if count.is_none() {
                let mut length = Vec::new();
                bytes.take(&mut stream, 4, |part| length.extend_from_slice(part))?;
                let length = length.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
                count = Some(field.variable_bytes(length));
            }
            let mut value = Vec::new();
            let (count, is_wanted) = (count.unwrap_or(0), !places.is_empty());
            if is_wanted && count > LONGEST_ROW as u64 {
                return Err("a text is longer than 1 MiB".into());
            }
            let limit = &self.xml.limit;
            bytes.take(&mut stream, count, |part| {
                // Values that nobody wants may be of any length.
                limit.reset();
                if is_wanted {
                    value.extend_from_slice(part);
                }
            })?;
            let is_null = nulls.get(number / 8).is_some_and(|flags| flags & 128 >> (number % 8) != 0);
            for &place in places.iter().filter(|_| !is_null) {
                cells[place] = field.decode(&value);
            }
        }
        Ok(Some(cells))
    }

    fn place(&self) -> String {
        format!("row {}", self.row)
    }

    fn unit(&self, wanted: usize) -> &str {
        let field = self.places.iter().position(|places| places.contains(&wanted));
        field.map_or("", |field| &self.fields[field].unit)
    }
}
