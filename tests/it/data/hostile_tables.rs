//! Damaged tables of each format but CSV, which takes nearly anything, made from sound ones with fixed seeds: each is read or
//! refused in one sentence, and ends.

use std::fs;
use std::path::Path;

use galaxy_gpu::catalogue::{Columns, Mode, Provenance, Row, TableFile};
use galaxy_gpu::data::tables::{Kind, TableReader, Wanted, holds_table};
use galaxy_gpu::data::{ItemInfo, Items, LoadOptions};

use super::Scratch;
use super::hostile::survive;

/// Most rows that a damaged table is read for: its header may promise any number, and a page may hold as many nulls.
const MOST: usize = 10_000;

fn read(path: &Path) -> galaxy_gpu::Result<()> {
    let kind = Kind::of(path).unwrap();
    let wanted = |name: &str| Wanted { name: name.into(), ucd: None, needed: ["path", "p_a_b"].contains(&name) };
    let wanted = ["path", "id", "index", "ra", "dec", "p_a_b", "status"].map(wanted);
    holds_table(path);
    TableReader::open(path, kind, &wanted)?
        .take(MOST)
        .try_for_each(|row| row.map(|row| assert_eq!(row.len(), wanted.len())))
}

fn write(path: &Path) {
    let columns = Columns { classes: ["a b", "c"].map(String::from).to_vec(), min_confidence: 0.0 };
    let made = Provenance {
        program: "0".into(),
        weights_hash: "0".into(),
        data: "none".into(),
        fits: "none".into(),
        network: serde_json::Value::Null,
        precision: "f32".into(),
        views: 1,
        batch: 4,
        device: "none".into(),
    };
    let row = |n: u32| Row {
        about: ItemInfo {
            id: n.to_string(),
            path: format!("in/{n} ü.png"),
            index: None,
            ra: Some(n.into()),
            dec: None,
        },
        outcome: if n.is_multiple_of(7) { Err("cannot be read".into()) } else { Ok(vec![0.25, 0.75]) },
    };
    let mut items = Items::new(&[], LoadOptions::default());
    let (mut table, _) = TableFile::open(path, Mode::New, &made, &columns, &mut items).unwrap();
    table.write(&(0..90).map(row).collect::<Vec<_>>()).unwrap();
    table.finish(&columns, &made).unwrap();
}

#[test]
fn tables_as_this_program_writes_them() {
    let scratch = Scratch::new();
    for name in ["own.parquet", "own.fits", "own.vot"] {
        let path = scratch.path(name);
        write(&path);
        survive(&path, 300, read);
    }
}

/// A VOTable whose rows are bytes.
#[test]
fn votables_in_binary() {
    use base64::Engine;
    let scratch = Scratch::new();
    for (kind, flags) in [("BINARY", &[][..]), ("BINARY2", &[0u8])] {
        let mut bytes = Vec::new();
        for number in 0..40u8 {
            bytes.extend_from_slice(flags);
            bytes.extend_from_slice(&[0, 0, 0, 5, b'a', b'.', b'p', b'n', b'g', 0, number]);
            bytes.extend_from_slice(&[0.5f32.to_be_bytes(), [0; 4]].concat());
        }
        let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
        let path = scratch.path(&format!("{kind}.vot"));
        let table = format!(
            "<VOTABLE><RESOURCE><TABLE><FIELD name='path' datatype='char' arraysize='*'/><FIELD name='id' \
             datatype='short'><VALUES null='3'/></FIELD><FIELD name='p_a_b' datatype='float'/><FIELD name='x' \
             datatype='int' arraysize='*'/><DATA><{kind}><STREAM encoding='base64'>{text}</STREAM></{kind}></DATA>\
             </TABLE></RESOURCE></VOTABLE>"
        );
        fs::write(&path, table).unwrap();
        survive(&path, 300, read);
    }
}

/// Small files that promise much.
#[test]
fn promises_are_not_believed() {
    let scratch = Scratch::new();
    let refuses = |name: &str, bytes: &[u8], reason: &str| {
        let path = scratch.path(name);
        fs::write(&path, bytes).unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains(reason), "{message}");
    };
    let card = |text: &str| format!("{text:<80}");
    let header = |cards: &[&str]| {
        let text: String = cards.iter().chain(&["END"]).map(|text| card(text)).collect();
        format!("{text:<2880}")
    };
    let first = header(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"]);
    let table = |width: &str, form: &str| {
        let (width, form) = (format!("NAXIS1  = {width}"), format!("TFORM1  = '{form}'"));
        let cards = ["XTENSION= 'BINTABLE'", "BITPIX  = 8", "NAXIS   = 2", &width, "NAXIS2  = 4611686018427387904"];
        let columns = ["TFIELDS = 2", "TTYPE1  = 'path'", &form, "TTYPE2  = 'p_a_b'", "TFORM2  = 'E'"];
        first.clone() + &header(&[&cards[..], &columns[..]].concat())
    };
    refuses("wide.fits", table("9000000000000000000", "8A").as_bytes(), "more than can be read");
    refuses("empty.fits", table("0", "0A").as_bytes(), "columns of 4 bytes in rows of 0");
    refuses("form.fits", table("12", "99999999999999999999A").as_bytes(), "TFORM1 is");
    refuses("heap.fits", table("12", "1PA(9)").as_bytes(), "neither text nor one number");
    refuses("short.fits", table("12", "8A").as_bytes(), "ends early, in row 1 ");
    refuses("endless.fits", card("SIMPLE  = T").repeat(60_000).as_bytes(), "a header has no end");
    let field = |size: &str| {
        format!(
            "<VOTABLE><TABLE><FIELD name='path' datatype='char' arraysize='{size}'/><FIELD name='p_a_b' datatype='float'/>\
             <DATA><BINARY><STREAM encoding='base64'>{}</STREAM></BINARY></DATA></TABLE></VOTABLE>",
            "////".repeat(50)
        )
    };
    refuses("array.vot", field("999999999x999999999").as_bytes(), "array size");
    refuses("long.vot", field("9999999").as_bytes(), "neither text nor one number");
    refuses("length.vot", field("*").as_bytes(), "a text is longer than 1 MiB");
    refuses("name.vot", format!("<VOTABLE><TABLE name='{}'", "x".repeat(3 << 20)).as_bytes(), "longer than 1 MiB");
    let entity = "<!DOCTYPE x [<!ENTITY a 'aaaa'>]><VOTABLE><TABLE><FIELD name='path' datatype='char' arraysize='*'/><FIELD \
                  name='p_a_b' datatype='float'/><DATA><TABLEDATA><TR><TD>&a;</TD></TR></TABLEDATA></DATA></TABLE></VOTABLE>";
    refuses("entity.vot", entity.as_bytes(), "refers to &a;");
    refuses("footer.parquet", b"PAR1\xff\xff\xff\x7fPAR1", "footer is longer");
}
