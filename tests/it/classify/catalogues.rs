//! Catalogues of all formats as inputs: what this program writes, and tables as others may write them.

use super::{Desk, rows};
use base64::Engine;

/// The columns that a catalogue carries through, and the status.
fn carried(desk: &Desk, name: &str) -> Vec<Vec<String>> {
    let own = |row: super::Row| ["id", "path", "ra", "dec", "class", "status"].map(|name| row[name].clone()).to_vec();
    rows(&desk.text(name)).into_iter().map(own).collect()
}

#[test]
fn tables_of_this_program_are_catalogues() {
    let desk = Desk::new();
    desk.galaxies("in", 5);
    let catalogue =
        "id,path,ra,dec\n7,in/0000.png,10.5,-3\n,in/0001.png,,\n\"a & b\",in/0004.png,0.1,89.99\nx,in/no.png,1,1\n";
    std::fs::write(desk.path("cat.csv"), catalogue).unwrap();
    desk.classify(1, "RUN0 cat.csv --out t.csv");
    let wanted = carried(&desk, "t.csv");
    for ending in ["parquet", "fits", "vot", "xml"] {
        desk.classify(1, &format!("RUN0 cat.csv --out t.{ending}"));
        assert_eq!(
            desk.classify(1, &format!("RUN0 t.{ending} --out {ending}.csv")),
            format!("3 classified, 1 failed; see {ending}.csv")
        );
        assert_eq!(carried(&desk, &format!("{ending}.csv")), wanted, "{ending}");
    }
}

#[test]
fn tables_of_text_may_be_packed() {
    let desk = Desk::new();
    desk.galaxies("in", 3);
    std::fs::write(desk.path("cat.csv"), "id,path\na,in/0000.png\nb,in/0002.png\n").unwrap();
    desk.classify(0, "RUN0 cat.csv --out t.csv");
    desk.classify(0, "RUN0 cat.csv --out t.vot");
    let wanted = carried(&desk, "t.csv");
    for name in ["cat.csv", "t.vot"] {
        let bytes = std::fs::read(desk.path(name)).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &bytes).unwrap();
        std::io::Write::write_all(&mut bzip2, &bytes).unwrap();
        let packed = gzip.finish().unwrap();
        for (ending, bytes) in [("gz", &packed), ("bz2", &bzip2.finish().unwrap())] {
            std::fs::write(desk.path(&format!("{name}.{ending}")), bytes).unwrap();
            desk.classify(0, &format!("RUN0 {name}.{ending} --out {name}.{ending}.csv"));
            assert_eq!(carried(&desk, &format!("{name}.{ending}.csv")), wanted, "{name}.{ending}");
        }
    }
    // one that is cut off says so, after the rows that are there
    let packed = std::fs::read(desk.path("cat.csv.gz")).unwrap();
    std::fs::write(desk.path("cut.csv.gz"), &packed[..packed.len() - 12]).unwrap();
    desk.classify(1, "RUN0 cut.csv.gz --out cut.csv");
    assert!(desk.text("cut.csv").contains("ends early, in "), "{}", desk.text("cut.csv"));
}

/// A VOTable of two rows whose columns are known by their UCDs, with columns of other types between.
fn votable(data: &str) -> String {
    format!(
        "<?xml version='1.0'?>\n<VOTABLE version='1.3' xmlns='http://www.ivoa.net/xml/VOTable/v1.3'><RESOURCE>\
         <TABLE><FIELD name='z' datatype='float'/><DATA><TABLEDATA><TR><TD>1</TD></TR></TABLEDATA></DATA></TABLE>\
         <TABLE><FIELD name='objid' ucd='meta.id;meta.main' datatype='long'><VALUES null='-9'/></FIELD>\
         <FIELD name='flux' datatype='float' arraysize='2x*'/>\
         <FIELD name='flags' datatype='bit' arraysize='11'/>\
         <FIELD name='Path' datatype='unicodeChar' arraysize='*'/>\
         <FIELD name='alpha' ucd='pos.eq.ra;meta.main' datatype='double' unit='deg'/>\
         <FIELD name='DEC' datatype='float'/>\
         <DATA>{data}</DATA></TABLE></RESOURCE></VOTABLE>"
    )
}

fn binary(flags: bool) -> String {
    let mut bytes = Vec::new();
    for (id, path, ra, dec, nulls) in
        [(12i64, "in/0000.png", 1.5f64, -2.25f32, 0u8), (-9, "in/ü.png", f64::NAN, f32::NAN, 0b0000_1100)]
    {
        if flags {
            bytes.push(nulls);
        }
        bytes.extend(id.to_be_bytes());
        bytes.extend(2u32.to_be_bytes());
        bytes.extend([1.0f32, 2.0].map(f32::to_be_bytes).concat());
        bytes.extend([255, 224]);
        let units: Vec<u16> = path.encode_utf16().collect();
        bytes.extend((units.len() as u32).to_be_bytes());
        bytes.extend(units.iter().flat_map(|unit| unit.to_be_bytes()));
        // what is flagged may hold anything
        bytes.extend(if flags && ra.is_nan() { 77.0 } else { ra }.to_be_bytes());
        bytes.extend(if flags && dec.is_nan() { 77.0 } else { dec }.to_be_bytes());
    }
    let (name, text) =
        (if flags { "BINARY2" } else { "BINARY" }, base64::engine::general_purpose::STANDARD.encode(bytes));
    let lines: Vec<&str> = text.as_bytes().chunks(30).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("<{name}><STREAM encoding='base64'>\n{}\n</STREAM></{name}>", lines.join("\n"))
}

#[test]
fn votables_are_read_in_each_serialization() {
    let desk = Desk::new();
    desk.galaxies("in", 1);
    desk.galaxy("in/ü.png", 3);
    let text = "<TABLEDATA>\n<TR><TD>12</TD><TD>1 2</TD><TD>11111111111</TD><TD>in/0000.png</TD><TD> 1.5 </TD><TD>-2.25</TD></TR>\
                <TR><TD>-9</TD><TD/><TD/><TD><![CDATA[in/]]>&#xfc;.png</TD><TD>NaN</TD><TD/></TR></TABLEDATA>";
    let mut found = Vec::new();
    for (name, data) in [("text", text.to_owned()), ("binary", binary(false)), ("binary2", binary(true))] {
        std::fs::write(desk.path(&format!("{name}.vot")), votable(&data)).unwrap();
        desk.classify(0, &format!("RUN0 {name}.vot --out {name}.csv"));
        found.push(carried(&desk, &format!("{name}.csv")));
    }
    let known: Vec<&[String]> = found[0].iter().map(|row| &row[..4]).collect();
    assert_eq!(known, [&["12", "in/0000.png", "1.5", "-2.25"][..], &["", "in/ü.png", "", ""]]);
    assert!(found[1] == found[0] && found[2] == found[0], "{found:?}");
}

#[test]
fn files_that_are_not_catalogues_are_refused_before_work_begins() {
    let desk = Desk::new();
    desk.galaxies("in", 1);
    desk.classify(0, "RUN0 in --out t.fits");
    let bytes = std::fs::read(desk.path("t.fits")).unwrap();
    let other = String::from_utf8_lossy(&bytes).replace("'path    '", "'file    '");
    let places = other.find("'file    '").unwrap();
    let mut renamed = bytes.clone();
    renamed[places..places + 10].copy_from_slice(b"'file    '");
    for (name, bytes) in [
        ("name.fits", &renamed[..]),
        ("no.parquet", b"PAR1 no PAR1"),
        ("no.vot", b"<VOTABLE><RESOURCE/></VOTABLE>"),
        ("no.xml", b"no"),
        ("path.vot", votable("<TABLEDATA/>").replace("Path", "file").as_bytes()),
        ("href.vot", votable("<BINARY><STREAM href='file:///etc/passwd'/></BINARY>").as_bytes()),
        ("deep.vot", votable("<FITS><STREAM encoding='base64'>AAAA</STREAM></FITS>").as_bytes()),
    ] {
        std::fs::write(desk.path(name), bytes).unwrap();
    }
    let both = "must be a file that is no input as well";
    desk.refuses_job("RUN0 in t.fits --out t.fits --force", &["--out is \"t.fits\"", both]);
    assert!(std::fs::read(desk.path("t.fits")).unwrap() == bytes);
    for (name, reason) in [
        ("name.fits", "has no column `path`, but id, file, index"),
        ("no.parquet", "cannot be read"),
        ("no.vot", "has no VOTable's TABLE"),
        ("no.xml", "has no VOTable's TABLE"),
        ("path.vot", "has no column `path`, but objid, flux"),
        ("href.vot", "its data are in another file"),
        ("deep.vot", "in FITS format"),
    ] {
        desk.refuses_job(&format!("RUN0 {name} --out t.csv"), &[name, reason]);
        assert!(!desk.path("t.csv").exists());
    }
}

#[test]
fn a_catalogue_that_is_cut_off_ends_in_a_row_that_says_so() {
    let desk = Desk::new();
    desk.galaxies("in", 1);
    let list: String = (0..4000).map(|n| format!("{n},in/{n}.png\n")).collect();
    std::fs::write(desk.path("many.csv"), format!("id,path\n{list}")).unwrap();
    for ending in ["fits", "vot"] {
        desk.classify(1, &format!("RUN0 many.csv --out t.{ending}"));
        let whole = std::fs::read(desk.path(&format!("t.{ending}"))).unwrap();
        std::fs::write(desk.path(&format!("cut.{ending}")), &whole[..whole.len() / 2]).unwrap();
        desk.classify(1, &format!("RUN0 cut.{ending} in/0000.png --out {ending}.csv"));
        let found = rows(&desk.text(&format!("{ending}.csv")));
        let (last, cut) = (&found[found.len() - 1], &found[found.len() - 2]);
        assert!(last["status"] == "ok" && cut["status"].contains("ends early, in row "), "{cut:?}");
        assert!(found.len() > 1000 && found.len() < 4000);
    }
}

#[test]
fn positions_in_other_units_are_refused() {
    let desk = Desk::new();
    desk.galaxies("in", 1);
    let row = "<TABLEDATA><TR><TD>1</TD><TD/><TD/><TD>in/0000.png</TD><TD>1</TD><TD>1</TD></TR></TABLEDATA>";
    std::fs::write(desk.path("rad.vot"), votable(row).replace("unit='deg'", "unit='rad'")).unwrap();
    desk.refuses_job("RUN0 rad.vot --out t.csv", &["rad.vot: has ra in \"rad\"", "give decimal degrees"]);
    desk.classify(0, "RUN0 in --out t.fits");
    let mut bytes = std::fs::read(desk.path("t.fits")).unwrap();
    let unit = String::from_utf8_lossy(&bytes).find("TUNIT5").unwrap();
    let place = unit + bytes[unit..].windows(3).position(|part| part == b"deg").unwrap();
    bytes[place..place + 3].copy_from_slice(b"rad");
    std::fs::write(desk.path("rad.fits"), bytes).unwrap();
    desk.refuses_job("RUN0 rad.fits --out t.csv", &["rad.fits: has dec in \"rad\"", "give decimal degrees"]);
}
