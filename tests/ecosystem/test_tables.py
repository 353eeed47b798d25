"""Tables of classify, as astropy and pyarrow read them, and catalogues as they write them."""

import csv
import io
import json
import warnings

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from astropy.io import fits, votable
from astropy.io.votable import ucd
from astropy.table import MaskedColumn, Table
from PIL import Image

UCDS = {
    "id": "meta.id;meta.main",
    "path": "meta.id;meta.file",
    "index": "meta.record",
    "ra": "pos.eq.ra;meta.main",
    "dec": "pos.eq.dec;meta.main",
    "class": "meta.code.class",
    "confidence": "stat.probability;stat.max",
    "entropy": "stat.value",
    "status": "meta.code.status",
}
UNITS = {"ra": "deg", "dec": "deg"}
TEXTS, DOUBLES = ("id", "path", "class", "status"), ("ra", "dec")


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="module")
def desk(tmp_path_factory, galaxy_gpu, trained_run):
    """A folder with pictures, a catalogue with gaps, and the tables of one job in each format."""
    folder = tmp_path_factory.mktemp("tables")
    noise = np.random.default_rng(1)
    for number in range(20):
        Image.fromarray(noise.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number:02}.png")
    (folder / "05.png").write_text("broken")
    (folder / "02.png").rename(folder / "ü & 50%25.png")
    with open(folder / "cat.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "path", "ra", "dec"])
        for number in range(20):
            path = "ü & 50%25.png" if number == 2 else f"{number:02}.png"
            rows.writerow(["" if number == 3 else f"N {number}", path, "" if number == 7 else number / 3, -number / 7])
    confidences = None
    for limit in (0, None):
        if limit is None:
            limit = sorted(confidences)[len(confidences) // 2]
        for ending in ("csv", "parquet", "fits", "vot"):
            out = folder / f"t.{ending}"
            galaxy_gpu("classify", trained_run, "cat.csv", "--out", out, "--force", "--views", 8, "--min-confidence", limit,
                       code=1, cwd=folder)
        confidences = [float(row["confidence"]) for row in wanted(folder) if row["confidence"]]
    return folder


def wanted(folder, name="t.csv"):
    """The rows of the CSV table."""
    with open(folder / name, newline="") as file:
        return list(csv.DictReader(file))


def names(folder):
    """Pairs of the names of columns: those of CSV and of other formats."""
    plain = list(wanted(folder)[0])
    safe = ["p_" + "_".join("".join(c if c.isalnum() else " " for c in name[2:]).split()) if name[:2] == "p_" else name for name in plain]
    assert len(set(safe)) == len(safe) == 19
    return list(zip(plain, safe))


def same(folder, column_of, decoded=lambda text: text):
    """Holds a table to the CSV of the same job: `column_of` gives a column's values, None where they are null."""
    rows = wanted(folder)
    assert len({row["class"] for row in rows}) > 1 and sum(row["class"] == "" for row in rows) > 3
    for plain, safe in names(folder):
        found = column_of(safe)
        assert len(found) == len(rows)
        for value, row in zip(found, rows):
            if row[plain] == "":
                assert value is None, (safe, value)
            elif plain in TEXTS:
                assert decoded(value) == row[plain]
            elif plain in DOUBLES:
                assert isinstance(value, (float, np.float64)) and value == float(row[plain])
            else:
                assert np.float32(value) == np.float32(row[plain]), safe


def facts(folder):
    made = json.loads((folder / "t.fits.meta.json").read_text())
    classes = [name[2:] for name, _ in names(folder) if name[:2] == "p_"]
    return {"program": "galaxy-gpu " + made["program"], "weights_hash": made["weights_hash"], "model": "conv3",
            "data": made["data"], "classes": json.dumps(classes, separators=(",", ":")), "views": "8", "precision": "f32"}


def test_ucds_are_of_the_controlled_vocabulary():
    for word in [*UCDS.values(), "stat.probability"]:
        ucd.parse_ucd(word, check_controlled_vocabulary=True)


def test_fits(desk):
    with fits.open(desk / "t.fits") as file:
        file.verify("exception")
        assert [hdu.name for hdu in file] == ["PRIMARY", "CLASSIFICATION"]
        header, columns = file[1].header, file[1].columns
        assert columns.names == [safe for _, safe in names(desk)]
        for number, (column, (plain, _)) in enumerate(zip(columns, names(desk)), 1):
            kind = "A" if plain in TEXTS else "K" if plain == "index" else "D" if plain in DOUBLES else "E"
            assert column.format.lstrip("0123456789") == kind
            assert column.unit == UNITS.get(plain)
            assert header[f"TUCD{number}"] == UCDS.get(plain, "stat.probability")
            assert header[f"TCOMM{number}"] if plain[:2] != "p_" else header[f"TCOMM{number}"].endswith(plain[2:])
        given = {"program": "PROGRAM", "weights_hash": "WEIGHTS", "model": "MODEL", "data": "TRAINSET",
                 "classes": "CLASSES", "views": "VIEWS", "precision": "PRECISN"}
        assert {name: header[keyword] for name, keyword in given.items()} == facts(desk)
        assert header["LONGSTRN"] == "OGIP 1.0" and len(header["DATE"]) == 19
    table = Table.read(desk / "t.fits", hdu=1)
    assert table["ra"].unit == "deg" and table["index"].mask.all()

    def column_of(name):
        column = table[name]
        if name in TEXTS:
            return [str(text) or None if text is not np.ma.masked else None for text in column]
        mask = np.ma.getmaskarray(np.ma.asarray(column)) | (np.isnan(np.asarray(column, dtype=float)))
        return [None if hidden else value for value, hidden in zip(np.asarray(column), mask)]

    def decoded(text):
        return text.replace("%C3%BC", "ü").replace("%2525", "%25")

    same(desk, column_of, decoded)


def check_votable(desk, document):
    """Holds the description in a VOTable to what is wanted, and returns its table."""
    table = document.get_first_table()
    for field, (plain, safe) in zip(table.fields, names(desk), strict=True):
        kind = "unicodeChar" if plain in TEXTS else "long" if plain == "index" else "double" if plain in DOUBLES else "float"
        assert (field.name, field.datatype) == (safe, kind)
        assert field.ucd == UCDS.get(plain, "stat.probability")
        assert (str(field.unit) if field.unit else None) == UNITS.get(plain)
        assert str(field.description).endswith(plain[2:] if plain[:2] == "p_" else "")
    params = {param.name: param.value for param in table.params}
    assert {name: params[name] for name in facts(desk)} == facts(desk)
    return table


def test_votable(desk):
    document = votable.parse(desk / "t.vot", verify="exception")
    assert document.version == "1.4"
    assert votable.validate(desk / "t.vot", io.StringIO())
    table = check_votable(desk, document).to_table()
    assert table["ra"].unit == "deg" and table["ra"].description == "Right ascension"

    def column_of(name):
        values = [None if value is np.ma.masked else value for value in table[name]]
        if name in TEXTS:
            return [value or None for value in values]
        return [None if value is None or np.isnan(value) else value for value in values]

    same(desk, column_of)


def test_parquet(desk):
    file = pyarrow.parquet.ParquetFile(desk / "t.parquet")
    for field, (plain, safe) in zip(file.schema_arrow, names(desk), strict=True):
        kind = (pyarrow.string() if plain in TEXTS else pyarrow.int64() if plain == "index"
                else pyarrow.float64() if plain in DOUBLES else pyarrow.float32())
        assert (field.name, field.type) == (safe, kind)
    about = {key.decode(): value.decode() for key, value in file.metadata.metadata.items()}
    assert {name: about[f"galaxy-gpu.{name}"] for name in facts(desk)} == facts(desk)
    # the description that TOPCAT and astropy's "parquet.votable" look for
    assert about["IVOA.VOTable-Parquet.version"] == "1.0"
    document = about["IVOA.VOTable-Parquet.content"].encode()
    check_votable(desk, votable.parse(io.BytesIO(document), verify="exception"))
    table = file.read()
    table.validate(full=True)
    same(desk, lambda name: table[name].to_pylist())


def catalogue(kind=str):
    """A table as users make it: capitals, masks, whole numbers for names, other columns."""
    ra = MaskedColumn([10.5, 0.0, 359.25], mask=[False, True, False], unit="deg", dtype="f8")
    dec = np.array([-1.5, 2.25, 3.0], dtype="f4")
    number = MaskedColumn([7, -1, 2**40], mask=[False, True, False]) if kind is int else ["a b", "", "<c>"]
    return Table({"RA": ra, "Flux": np.ones((3, 4)), "ID": number, "Path": ["00.png", "01.png", "04.png"], "dec": dec})


def carried(folder, name):
    return [[row[column] for column in ("id", "path", "ra", "dec", "class", "status")] for row in wanted(folder, name)]


@pytest.mark.parametrize("kind", [str, int])
def test_catalogues_of_others(desk, galaxy_gpu, trained_run, kind):
    def classify(name):
        galaxy_gpu("classify", trained_run, name, "--out", "in.csv", "--force", cwd=desk)
        return carried(desk, "in.csv")

    table = catalogue(kind)
    plain = Table(table, copy=True)
    plain.remove_column("Flux")
    plain.write(desk / "c.csv", format="ascii.csv", overwrite=True)
    found = classify("c.csv")
    expected = [("7", "", str(2**40)) if kind is int else ("a b", "", "<c>"), ("10.5", "", "359.25"), ("-1.5", "2.25", "3.0")]
    assert [tuple(row[place] for row in found) for place in (0, 2, 3)] == expected
    assert all(row[5] == "ok" for row in found)

    for data_format in ("tabledata", "binary", "binary2"):
        document = votable.from_table(table)
        document.version = "1.4"
        if kind is int:
            document.get_first_table().get_field_by_id("ID").values.null = -1
        document.to_xml(str(desk / "c.vot"), tabledata_format=data_format)
        assert classify("c.vot") == found, data_format
    table.write(desk / "c.fits", overwrite=True)
    assert classify("c.fits") == found
    columns = {name: pyarrow.array(np.ma.filled(column, 0) if kind is int or name != "ID" else list(column),
                                   mask=np.ma.getmaskarray(np.ma.asarray(column)))
               for name, column in ((name, plain[name]) for name in plain.colnames)}
    for options in ({}, {"compression": "zstd", "data_page_version": "2.0"}, {"compression": "gzip", "use_dictionary": False},
                    {"compression": "lz4"}, {"row_group_size": 2, "compression": "none"}):
        pyarrow.parquet.write_table(pyarrow.table(columns), desk / "c.parquet", **options)
        assert classify("c.parquet") == found, options


def test_columns_are_found_by_ucd(desk, galaxy_gpu, trained_run):
    table = catalogue(int)
    table.rename_columns(["RA", "dec", "ID"], ["alpha", "delta", "source"])
    document = votable.from_table(table)
    for field in document.get_first_table().fields:
        field.ucd = {"alpha": UCDS["ra"], "delta": UCDS["dec"], "source": UCDS["id"]}.get(field.name)
    document.to_xml(str(desk / "u.vot"))
    galaxy_gpu("classify", trained_run, "u.vot", "--out", "u.csv", "--force", cwd=desk)
    assert [row[:4] for row in carried(desk, "u.csv")] == [
        ["7", "00.png", "10.5", "-1.5"], ["", "01.png", "", "2.25"], [str(2**40), "04.png", "359.25", "3.0"]]


def test_fits_with_unsigned_numbers_and_ucds(desk, galaxy_gpu, trained_run):
    table = Table({"source": np.array([7, 2**63 + 5, 0], dtype="u8"), "alpha": np.array([1, 2, 3], dtype="u2"),
                   "PATH": ["00.png", "01.png", "04.png"]})
    hdu = fits.table_to_hdu(table)
    hdu.header["TUCD1"], hdu.header["TUCD2"] = UCDS["id"], UCDS["ra"]
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(desk / "unsigned.fits")
    galaxy_gpu("classify", trained_run, "unsigned.fits", "--out", "unsigned.csv", "--force", cwd=desk)
    assert [row[:3] for row in carried(desk, "unsigned.csv")] == [
        ["7", "00.png", "1.0"], [str(2**63 + 5), "01.png", "2.0"], ["0", "04.png", "3.0"]]
