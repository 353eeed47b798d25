"""FITS images that astropy writes, read by galaxy-gpu: pixels, colours and positions against astropy and numpy."""

import csv
import gzip
import json

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

BANDS = "grz"
PIXEL = 0.262  # arcseconds, the Legacy Survey's


def stretch(g, r, z, m=0.03, q=20.0, scales=(6.0, 3.4, 2.2)):
    """Fluxes to u8 RGB by the published formula, rows from the top."""
    scaled = [np.asarray(band, np.float64) * scale + m for band, scale in zip((g, r, z), scales)]
    intensity = sum(np.maximum(band, 0) for band in scaled) / 3
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = np.arcsinh(q * intensity) / np.sqrt(q) / intensity
        rgb = np.clip(np.stack(scaled[::-1], axis=-1) * factor[..., None], 0, 1)
    rgb[~np.isfinite(rgb).all(axis=-1)] = 0
    return (rgb * 255).astype(np.uint8)[::-1]


def cube(height=40, width=48, seed=1):
    """Nanomaggies of a bright and a faint galaxy on noise, brighter towards red, without symmetry."""
    y, x = np.mgrid[:height, :width]
    random = np.random.default_rng(seed)
    planes = []
    for colour in (1.0, 1.8, 2.6):
        bright = 0.8 * np.exp(-np.hypot(x - 20, (y - 14) * 1.5) / 4)
        faint = 0.1 * np.exp(-np.hypot(x - 36, y - 30) / 3)
        planes.append(colour * (bright + faint) + random.normal(0, 0.004, (height, width)))
    return np.array(planes, np.float32)


def header(ra=150.0, dec=2.2, height=40, width=48):
    """Coordinates of a cut-out as the Legacy Survey writes them."""
    cards = fits.Header()
    cards["CTYPE1"], cards["CTYPE2"] = "RA---TAN", "DEC--TAN"
    cards["CRVAL1"], cards["CRVAL2"] = ra, dec
    cards["CRPIX1"], cards["CRPIX2"] = width / 2 + 0.5, height / 2 + 0.5
    cards["CD1_1"], cards["CD1_2"], cards["CD2_1"], cards["CD2_2"] = -PIXEL / 3600, 0.0, 0.0, PIXEL / 3600
    return cards


@pytest.fixture
def picture(galaxy_gpu, tmp_path):
    """The RGB picture that a network would see of these files."""

    def read(*arguments):
        done = galaxy_gpu("data", "picture", *arguments, "--out", tmp_path / "picture.png")
        pixels = np.array(Image.open(tmp_path / "picture.png"))
        assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
        return pixels, done.stdout + done.stderr

    return read


def assert_same(found, wanted):
    """Equal but for a level: both sides cut 255 x off at the whole number, and sines of logarithms differ in the last bit."""
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted.astype(int)).max() <= 1
    assert (found != wanted).mean() < 0.001


def test_the_formula(picture, tmp_path):
    planes = cube()
    fits.writeto(tmp_path / "cube.fits", planes, header())
    found, said = picture(tmp_path / "cube.fits")
    assert_same(found, stretch(*planes))
    assert found[-1, 0].tolist() == stretch(*planes)[-1, 0].tolist(), "FITS row 1 is the bottom"
    assert "north up, east left" in said and "0.262 arcsec per pixel" in said
    found, _ = picture(tmp_path / "cube.fits", "--fits-stretch", "m=0.1,Q=8,g=5,r=4,z=3")
    assert_same(found, stretch(*planes, m=0.1, q=8.0, scales=(5.0, 4.0, 3.0)))


def test_holes_are_black(picture, tmp_path):
    planes = cube()
    planes[0, 3, 4] = np.nan
    planes[2, 5:8, 6] = np.inf
    fits.writeto(tmp_path / "cube.fits", planes)
    found, said = picture(tmp_path / "cube.fits")
    assert_same(found, stretch(*planes))
    assert (found[40 - 1 - 3, 4] == 0).all() and (found[40 - 1 - 6, 6] == 0).all()
    assert "place on the sky not known" in said


@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_every_bitpix(picture, tmp_path, kind, scaled, packed):
    planes = cube()
    if kind[0] == "f":
        stored = planes.astype(kind)
        hdu = fits.PrimaryHDU(stored)
        wanted = planes
    else:
        # integers that mean a thousandth each, or fluxes of whole numbers that saturate
        top = 250 if kind == "u1" else 30_000
        stored = np.clip(np.round((planes + 0.05) * (60 if kind == "u1" else 1000)), 1, top).astype(kind)
        stored[0, 2, 2:5] = 0
        hdu = fits.PrimaryHDU(stored)
        wanted = np.where(stored == 0, np.nan, stored).astype(np.float64)
        hdu.header["BLANK"] = 0
        if scaled:
            scale = 1 / 60 if kind == "u1" else 1e-3
            wanted = wanted * scale - 0.05
            hdu.header["BSCALE"], hdu.header["BZERO"] = scale, -0.05
        elif kind == "u1":
            wanted = wanted.astype(np.float64)
    name = "cube.fits"
    hdu.writeto(tmp_path / name)
    raw = (tmp_path / name).read_bytes()
    if packed:
        name = "cube.fits.gz"
        # two members, as tools that append leave them
        (tmp_path / name).write_bytes(gzip.compress(raw[:3000]) + gzip.compress(raw[3000:]))
    assert fits.getval(tmp_path / "cube.fits", "BITPIX") == {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}[kind]
    assert_same(picture(tmp_path / name)[0], stretch(*wanted))


def test_unsigned_integers(picture, tmp_path):
    planes = np.clip(cube() * 20_000, 0, 65_535).astype(np.uint16)
    fits.writeto(tmp_path / "cube.fits", planes)
    assert fits.getheader(tmp_path / "cube.fits")["BZERO"] == 32768
    assert_same(picture(tmp_path / "cube.fits", "--fits-stretch", "g=3e-4,r=2e-4,z=1e-4")[0],
                stretch(*planes, scales=(3e-4, 2e-4, 1e-4)))


METHODS = ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "NOCOMPRESS"]


def unpacked(path):
    with fits.open(path) as file:
        return np.array(file[1].data, np.float64)


# H-compress has tiles of one plane and at least four rows
TILES = {method: [None, (1, 16, 20), (2, 7, 48)] for method in METHODS} | {"HCOMPRESS_1": [(1, 20, 16), (1, 40, 48)]}


@pytest.mark.parametrize("method, tile", [(method, tile) for method in METHODS for tile in TILES[method]])
@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("dither", [-1, 1, 2])
def test_quantized_floats(picture, tmp_path, method, tile, kind, dither):
    planes = cube().astype(kind)
    planes[1, 4, 4] = 0.0
    planes[0, 6, 6:9] = np.nan
    options = {"tile_shape": tile} if tile else {}
    if method == "HCOMPRESS_1":
        planes = np.nan_to_num(planes)  # which it loses
    hdu = fits.CompImageHDU(planes, compression_type=method, quantize_level=16, quantize_method=dither, dither_seed=7, **options)
    hdu.writeto(tmp_path / "cube.fits.fz")
    with fits.open(tmp_path / "cube.fits.fz", disable_image_compression=True) as file:
        assert file[1].header["ZCMPTYPE"] == method and file[1].header["ZBITPIX"] == (-32 if kind == "f4" else -64)
    wanted = unpacked(tmp_path / "cube.fits.fz")
    assert np.nanmax(np.abs(wanted - planes)) < 0.01, "quantized, and not far from what it was"
    assert_same(picture(tmp_path / "cube.fits.fz")[0], stretch(*wanted))


@pytest.mark.parametrize("method", ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_tiles_that_cannot_be_quantized(picture, tmp_path, method, kind):
    planes = cube().astype(kind)
    planes[:, :20] = 0.05  # without noise, as where a survey has not looked
    fits.CompImageHDU(planes, compression_type=method, quantize_level=4, tile_shape=(1, 10, 16)).writeto(tmp_path / "cube.fz")
    with fits.open(tmp_path / "cube.fz", disable_image_compression=True) as file:
        kept = [len(row) for row in file[1].data["GZIP_COMPRESSED_DATA"]]
    assert sum(length > 0 for length in kept) == 18, "half of the tiles are kept as they are"
    assert_same(picture(tmp_path / "cube.fz")[0], stretch(*unpacked(tmp_path / "cube.fz")))


@pytest.mark.parametrize("method", ["GZIP_1", "GZIP_2", "NOCOMPRESS"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_lossless_floats(picture, tmp_path, method, kind):
    planes = cube().astype(kind)
    planes[2, 1, 1] = np.nan
    fits.CompImageHDU(planes, compression_type=method, quantize_level=0.0).writeto(tmp_path / "cube.fz")
    wanted = unpacked(tmp_path / "cube.fz")
    np.testing.assert_array_equal(wanted, planes)
    assert_same(picture(tmp_path / "cube.fz")[0], stretch(*wanted))


@pytest.mark.parametrize("method", [*METHODS, "PLIO_1"])
@pytest.mark.parametrize("kind", ["u1", "i2", "i4"])
def test_compressed_integers(picture, tmp_path, method, kind):
    planes = np.clip(np.round((cube() + 0.05) * 60), 0, 250).astype(kind)
    options = {"tile_shape": (1, 20, 16)} if method == "HCOMPRESS_1" else {}
    fits.CompImageHDU(planes, compression_type=method, **options).writeto(tmp_path / "cube.fits.fz")
    np.testing.assert_array_equal(unpacked(tmp_path / "cube.fits.fz"), planes)
    scales = ("g=0.1,r=0.06,z=0.04", (0.1, 0.06, 0.04))
    assert_same(picture(tmp_path / "cube.fits.fz", "--fits-stretch", scales[0])[0], stretch(*planes, scales=scales[1]))


def test_lossy_h_compress(picture, galaxy_gpu, tmp_path):
    planes = np.clip(np.round((cube() + 0.05) * 1000), 0, 30_000).astype(np.int16)
    pack = {"compression_type": "HCOMPRESS_1", "tile_shape": (1, 20, 16), "hcomp_scale": 4}
    fits.CompImageHDU(planes, **pack).writeto(tmp_path / "cube.fits.fz")
    wanted = unpacked(tmp_path / "cube.fits.fz")
    assert (wanted != planes).any()
    scales = ("g=6e-3,r=3e-3,z=2e-3", (6e-3, 3e-3, 2e-3))
    assert_same(picture(tmp_path / "cube.fits.fz", "--fits-stretch", scales[0])[0], stretch(*wanted, scales=scales[1]))
    # a tile that is to be smoothed is refused, not shown unsmoothed
    fits.CompImageHDU(planes, hcomp_smooth=1, **pack).writeto(tmp_path / "smooth.fits.fz")
    assert "SMOOTH" in galaxy_gpu("data", "picture", tmp_path / "smooth.fits.fz", code=2).stderr


def test_parts_and_bands(picture, galaxy_gpu, tmp_path):
    planes, other = cube(), cube(seed=2)
    griz = np.stack([planes[0], planes[1], np.full_like(planes[0], 9), planes[2]])
    fits.HDUList([
        fits.PrimaryHDU(),
        fits.BinTableHDU.from_columns([fits.Column("x", "E", array=np.arange(9.0))]),
        fits.ImageHDU(planes, name="IMAGE"),
        fits.ImageHDU(other[:, :30], name="OTHER"),
        fits.ImageHDU(griz, name="FOUR"),
    ]).writeto(tmp_path / "many.fits")
    assert_same(picture(tmp_path / "many.fits")[0], stretch(*planes))
    for part in ("3", "other"):
        assert_same(picture(tmp_path / "many.fits", "--fits-hdu", part)[0], stretch(*other[:, :30]))
    assert_same(picture(tmp_path / "many.fits", "--fits-hdu", "FOUR")[0], stretch(*planes))
    assert_same(picture(tmp_path / "many.fits", "--fits-hdu", "FOUR", "--fits-bands", "z,g,i,r")[0],
                stretch(griz[1], griz[3], griz[0]))
    cards = fits.Header()
    cards["BANDS"] = "zrg"
    fits.writeto(tmp_path / "turned.fits", planes[::-1], cards)
    assert_same(picture(tmp_path / "turned.fits")[0], stretch(*planes))
    for wrong, said in [(("--fits-hdu", 1), "no image"), (("--fits-hdu", 9), "no part 9"), (("--fits-hdu", "X"), "no part X"),
                        (("--fits-bands", "griz"), "3 planes"), (("--fits-bands", "gri"), "--fits-bands")]:
        failed = galaxy_gpu("data", "picture", tmp_path / "many.fits", *wrong, "--out", tmp_path / "no.png", code=2)
        assert said in failed.stderr and not (tmp_path / "no.png").exists()


def three(folder, name, planes, ending=".fits", cards=None, separator="-"):
    files = [folder / f"{name}{separator}{band}{ending}" for band in BANDS]
    for file, plane in zip(files, planes):
        fits.writeto(file, plane, cards)
    return files


def test_three_files(picture, galaxy_gpu, tmp_path):
    planes = cube()
    files = three(tmp_path, "brick", planes, cards=header())
    for named in (files, files[:1], files[1:2]):
        assert_same(picture(*named)[0], stretch(*planes))
    three(tmp_path, "packed", planes, ".fits.gz", separator="_")
    assert_same(picture(tmp_path / "packed_g.fits.gz")[0], stretch(*planes))
    assert "files" in galaxy_gpu("data", "picture", *files[:2], code=2).stderr
    elsewhere = header(ra=150.001)
    fits.writeto(files[2], planes[2], elsewhere, overwrite=True)
    assert "arcseconds from the g band" in galaxy_gpu("data", "picture", *files, code=2).stderr
    fits.writeto(files[2], planes[2][:30], overwrite=True)
    assert "30 x 48 pixels, the g band 40 x 48" in galaxy_gpu("data", "picture", *files, code=2).stderr
    files[2].unlink()
    assert "1 plane" in galaxy_gpu("data", "picture", files[0], code=2).stderr


def turned(kind, degrees=30.0, mirrored=False):
    """A large image's coordinates with the sky turned, in one of the ways to write it."""
    cards = header(ra=0.01, dec=-40.0, height=300, width=400)
    step, angle = PIXEL / 3600, np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    delta = np.array([step if mirrored else -step, step])
    for name in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"):
        del cards[name]
    if kind == "CD":
        matrix = delta[:, None] * rotation
    else:
        cards["CDELT1"], cards["CDELT2"] = delta
        matrix = rotation
    if kind == "CROTA":
        cards["CROTA2"] = degrees
        return cards
    for i in (0, 1):
        for j in (0, 1):
            cards[f"{kind}{i + 1}_{j + 1}"] = matrix[i, j]
    return cards


@pytest.mark.parametrize("projection", ["TAN", "SIN", "ZEA", "ARC", "STG"])
@pytest.mark.parametrize("kind", ["CD", "PC", "CROTA"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_positions(picture, galaxy_gpu, trained_run, tmp_path, projection, kind, mirrored):
    cards = turned(kind, mirrored=mirrored)
    cards["CTYPE1"], cards["CTYPE2"] = f"RA---{projection}", f"DEC--{projection}"
    wcs = WCS(cards)
    planes = cube(300, 400)
    fits.writeto(tmp_path / "large.fits", planes, cards)
    random = np.random.default_rng(3)
    for x, y in [(199.5, 149.5), *random.uniform((20, 20), (380, 280), (6, 2))]:
        there = wcs.pixel_to_world(x, y)
        found, said = picture(tmp_path / "large.fits", f"--at={there.ra.deg:.9f},{there.dec.deg:.9f}", "--crop-arcsec", 30 * PIXEL)
        # the 30 pixels whose middle is nearest; astropy counts from 0, and so from the middle of the first pixel
        left, bottom = round(x + 0.5 - 15), round(y + 0.5 - 15)
        assert_same(found, stretch(*planes[:, bottom : bottom + 30, left : left + 30]))
        middle = wcs.pixel_to_world(left + 14.5, bottom + 14.5)
        ra, dec = map(float, said.split("centre ")[1].split(";")[0].split(","))
        # printed to five places: 0.02 arcseconds
        assert middle.separation(SkyCoord(ra, dec, unit="deg")).arcsec < 0.03
    if projection == "TAN":
        place = json.loads(galaxy_gpu("predict", trained_run, tmp_path / "large.fits", "--json", "--device", "reference").stdout)["place"]
        middle = wcs.pixel_to_world(199.5, 149.5)
        assert middle.separation(SkyCoord(place["ra"], place["dec"], unit="deg")).arcsec < 1e-5
        assert place["arcsec_per_pixel"] == pytest.approx(PIXEL) and place["mirrored"] == mirrored
        # the way to north, measured with astropy: counted from up towards the left
        ahead = wcs.world_to_pixel(SkyCoord(middle.ra, middle.dec + 5 * middle.dec.unit / 3600))
        angle = np.degrees(np.arctan2(-(ahead[0] - 199.5), ahead[1] - 149.5))
        # two pixels away from the reference, meridians are parallel to a thousandth of a degree
        assert place["north_degrees"] == pytest.approx(angle, abs=0.01)


def test_crops_at_edges_and_outside(picture, galaxy_gpu, tmp_path):
    planes, cards = cube(300, 400), header(height=300, width=400)
    fits.writeto(tmp_path / "large.fits", planes, cards)
    corner = WCS(cards).pixel_to_world(2.2, 3.2)
    found, _ = picture(tmp_path / "large.fits", f"--at={corner.ra.deg:.9f},{corner.dec.deg:.9f}", "--crop-arcsec", 20 * PIXEL)
    padded = np.full((3, 340, 440), np.nan)
    padded[:, 20:320, 20:420] = planes
    left, bottom = round(2.7 - 10) + 20, round(3.7 - 10) + 20
    assert_same(found, stretch(*padded[:, bottom : bottom + 20, left : left + 20]))
    fits.writeto(tmp_path / "nowhere.fits", planes)
    for file, at, said in [("large.fits", "151,2.2", "does not show the position 151"),
                           ("large.fits", "330,-2.2", "does not show the position"),
                           ("nowhere.fits", "150,2.2", "does not say where on the sky")]:
        assert said in galaxy_gpu("data", "picture", tmp_path / file, f"--at={at}", code=2).stderr


def test_what_is_no_plain_grid_has_no_place(picture, tmp_path):
    for change in [{"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}, {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
                   {"EQUINOX": 1950.0}, {"RADESYS": "FK4"}, {"LONPOLE": 90.0}, {"CUNIT1": "arcsec", "CUNIT2": "arcsec"},
                   {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}]:
        cards = header()
        cards.update(change)
        fits.writeto(tmp_path / "cube.fits", cube(), cards, overwrite=True)
        assert "place on the sky not known: " in picture(tmp_path / "cube.fits")[1], change


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_classify(galaxy_gpu, trained_run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    planes = cube(32, 32)
    fits.writeto(folder / "cube.fits", planes, header(ra=10.0, height=32, width=32))
    three(folder, "single", planes, ".fits.gz", header(ra=20.0, height=32, width=32))
    fits.CompImageHDU(planes, header(ra=30.0, height=32, width=32), compression_type="GZIP_2", quantize_level=0.0) \
        .writeto(folder / "tiles.fits.fz")
    Image.fromarray(stretch(*planes)).save(folder / "viewer.png")
    fits.writeto(folder / "broken-r.fits", planes[0])
    job = ("classify", trained_run, folder, "--device", "reference", "--out", tmp_path / "t.csv")
    galaxy_gpu(*job, code=1)
    table = rows(tmp_path / "t.csv")
    names = [row["path"].split("/")[-1] for row in table]
    assert names == ["broken-r.fits", "cube.fits", "single-g.fits.gz", "tiles.fits.fz", "viewer.png"]
    assert "1 plane" in table[0]["status"]
    ok = table[1:]
    assert all(row["status"] == "ok" for row in ok)
    probabilities = [[row[name] for name in row if name.startswith("p_")] for row in ok]
    assert all(row == probabilities[0] for row in probabilities), "the same picture in every form, PNG included"
    for row, ra in zip(ok, (10.0, 20.0, 30.0)):
        assert (float(row["ra"]), float(row["dec"])) == pytest.approx((ra, 2.2), abs=1e-9)
    assert table[-1]["ra"] == ""
    # positions that were found in files do not make rows strangers
    done = galaxy_gpu(*job, "--continue", code=1)
    assert "4 classified, 1 failed, 4 of these rows kept" in done.stdout
    predicted = json.loads(galaxy_gpu("predict", trained_run, folder / "cube.fits", "--json", "--device", "reference").stdout)
    assert np.float32(predicted["confidence"]) == np.float32(ok[0]["confidence"])


def test_a_catalogue_of_one_large_image(galaxy_gpu, trained_run, tmp_path):
    planes, cards = cube(300, 400), header(height=300, width=400)
    files = three(tmp_path, "brick", planes, cards=cards)
    wcs = WCS(cards)
    random = np.random.default_rng(5)
    pixels = random.uniform((20, 20), (380, 280), (50, 2))
    wanted = []
    with open(tmp_path / "catalogue.csv", "w") as file:
        file.write("id,path,path_g,path_r,path_z,ra,dec\n")
        for number, (x, y) in enumerate(pixels):
            sky = wcs.pixel_to_world(x, y)
            paths = f"{files[0].name},,," if number % 2 else f",{files[0].name},{files[1].name},{files[2].name}"
            file.write(f"{number},{paths},{sky.ra.deg:.9f},{sky.dec.deg:.9f}\n")
            left, bottom = round(x + 0.5 - 16), round(y + 0.5 - 16)
            wanted.append(planes[:, bottom : bottom + 32, left : left + 32])
        file.write(f"out,{files[0].name},,,,151,2\nlost,{files[0].name},,,,,\n")
    galaxy_gpu("classify", trained_run, tmp_path / "catalogue.csv", "--crop-arcsec", 32 * PIXEL, "--device", "reference",
               "--out", tmp_path / "t.csv", code=1)
    table = rows(tmp_path / "t.csv")
    assert "does not show the position" in table[50]["status"] and "no position to cut out" in table[51]["status"]
    cuts = tmp_path / "cuts"
    cuts.mkdir()
    for number, cut in enumerate(wanted):
        fits.writeto(cuts / f"{number:02}.fits", cut)
    galaxy_gpu("classify", trained_run, cuts, "--device", "reference", "--out", tmp_path / "u.csv")
    for row, same in zip(table, rows(tmp_path / "u.csv")):
        assert row["status"] == "ok"
        assert [row[name] for name in row if name.startswith("p_")] == [same[name] for name in row if name.startswith("p_")]


def test_a_folder_of_classes(galaxy_gpu, tmp_path):
    for number in range(12):
        folder = tmp_path / "data" / ("bright" if number % 2 else "faint")
        folder.mkdir(parents=True, exist_ok=True)
        planes = cube(32, 32, seed=number) * (1 + number % 2)
        cards = header(ra=10.0 * number, height=32, width=32)
        if number < 6:
            fits.writeto(folder / f"{number}.fits", planes, cards)
        else:
            three(folder, f"{number}", planes, cards=cards)
    said = galaxy_gpu("data", "inspect", tmp_path / "data").stdout
    assert "12" in said and "bright" in said and "32 x 32" in said
    galaxy_gpu("train", "--data", tmp_path / "data", "--model", "conv3", "--epochs", 1, "--batch", 4, "--device", "reference",
               "--fits-stretch", "Q=10", "--out", tmp_path / "run")
    assert (tmp_path / "run/weights/best.safetensors").exists()
