"""Keras opens what galaxy-gpu exports, and galaxy-gpu computes what Keras does of what it imports."""

import json

import numpy
import pytest
import safetensors
from keras_models import TOLERANCE, centred, conv4, filled, images, keras, layers, odd, probabilities, softmax

CPU = ("--device", "reference")


def imported(galaxy_gpu, file, out, *options):
    """The weights file that an import leaves, and its notes."""
    said = json.loads(galaxy_gpu("model", "import", file, "--out", out, "--json", *options).stdout)
    return said


def assert_alike(galaxy_gpu, weights, model, pixels, folder, scale=1.0):
    """Both give the same probabilities and, but for their mean, the same logits."""
    wanted = numpy.asarray(model(pixels.astype("float32") * scale, training=False))
    if not numpy.allclose(wanted.sum(-1), 1, atol=1e-5):
        wanted = softmax(wanted)
    for one, row in zip(pixels, wanted):
        got = probabilities(galaxy_gpu, weights, one, folder, *CPU)
        assert numpy.abs(got - row).max() < TOLERANCE
        assert numpy.abs(centred(got) - centred(row)).max() < TOLERANCE


@pytest.mark.parametrize("ending", ["keras", "h5", "weights.h5"])
def test_a_conv4_of_keras_is_imported(galaxy_gpu, tmp_path, ending):
    model = conv4(32, 3)
    file = tmp_path / f"galaxies.{ending}"
    weights = tmp_path / "run"
    options = ["--classes", "Spiral,Elliptical,Irregular"]
    if ending == "weights.h5":
        model.save_weights(file)
        options += ["--size", "32"]
    else:
        model.save(file)
    said = imported(galaxy_gpu, file, weights, *options)
    assert said["classes"] == ["Spiral", "Elliptical", "Irregular"]
    notes = " ".join(said["notes"])
    if ending == "weights.h5":
        assert "conv4" in notes
    else:
        assert "RandomFlip random_flip" in notes and "RandomZoom" in notes
        # in Keras relu is part of a layer, here it is one of its own: the notebook's network all the same
        summary = galaxy_gpu("model", "summary", "conv4", "--size", 32, "--classes", 3, "--json").stdout
        assert said["parameters"] == json.loads(summary)["parameters"] == model.count_params()
    assert_alike(galaxy_gpu, weights, model, images(2, 32, 32), tmp_path)


def test_an_imported_network_is_evaluated(galaxy_gpu, tmp_path):
    conv4(32, 10).save(tmp_path / "ten.keras")
    said = imported(galaxy_gpu, tmp_path / "ten.keras", tmp_path / "run")
    assert any("Galaxy10" in note for note in said["notes"])
    shown = galaxy_gpu("evaluate", tmp_path / "run", "--images", 50, "--size", 32, "--json", "--out", tmp_path / "c.png")
    assert json.loads(shown.stdout)["count"] == 10


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_kernels_strides_and_paddings_of_all_kinds(galaxy_gpu, tmp_path, ending):
    model = odd()
    model.save(tmp_path / f"odd.{ending}")
    weights = tmp_path / "odd.safetensors"
    imported(galaxy_gpu, tmp_path / f"odd.{ending}", weights)
    assert_alike(galaxy_gpu, weights, model, images(2, 37, 29), tmp_path)
    # and back: Keras gets the same bits, in a model that gives the same logits
    galaxy_gpu("model", "export", weights, "--out", tmp_path / "back.keras")
    back = keras.saving.load_model(tmp_path / "back.keras")
    for ours, theirs in zip(back.get_weights(), model.get_weights(), strict=True):
        assert numpy.array_equal(ours, theirs)
    pixels = images(3, 37, 29).astype("float32")
    assert numpy.abs(back.predict(pixels, verbose=0) - model.predict(pixels, verbose=0)).max() < TOLERANCE


def small(*first, padding="valid"):
    stack = [layers.Input((12, 12, 3)), *first, layers.Conv2D(4, 3, padding=padding, use_bias=False)]
    return filled(keras.Sequential([*stack, layers.ReLU(), layers.Flatten(), layers.Dense(3)]))


def test_pixels_are_what_the_model_was_fed(galaxy_gpu, tmp_path):
    pixels = images(2, 12, 12)
    for number, (first, options, scale, note) in enumerate(
        [
            ([], [], 1 / 255, "pixels of 0 to 1 are assumed"),
            ([], ["--pixels", "0-255"], 1.0, "folded into conv2d"),
            ([layers.Rescaling(1 / 127.5, offset=-1)], [], 1.0, "folded into conv2d"),
            ([layers.Rescaling(1 / 255), layers.Rescaling(2.0, offset=0.5)], [], 1.0, "folded into conv2d"),
        ]
    ):
        model = small(*first)
        model.save(tmp_path / f"{number}.keras")
        weights = tmp_path / f"{number}.safetensors"
        said = imported(galaxy_gpu, tmp_path / f"{number}.keras", weights, *options)
        assert any(note in line for line in said["notes"]), said["notes"]
        # bytes as they are make logits of some hundreds, of which f32 has fewer digits behind the point
        if options:
            model.set_weights([w / 50 for w in model.get_weights()])
            model.save(tmp_path / "less.keras")
            weights = tmp_path / "less.safetensors"
            imported(galaxy_gpu, tmp_path / "less.keras", weights, *options)
        assert_alike(galaxy_gpu, weights, model, pixels, tmp_path, scale)


def test_what_cannot_be_computed_is_refused_by_name(galaxy_gpu, tmp_path):
    for model, words in [
        (small(layers.Rescaling(1 / 127.5, offset=-1), padding="same"), "conv2d pads"),
        (small(layers.BatchNormalization()), "is a BatchNormalization"),
        (small(layers.Conv2D(2, 3, activation="gelu")), "has the activation gelu"),
        (small(layers.Conv2D(2, 3, dilation_rate=2)), "dilation_rate"),
        (small(layers.Conv2D(2, (3, 1))), "kernel_size"),
        (small(layers.MaxPooling2D(5, padding="same")), "pads its 12x12 input"),
        (small(layers.Resizing(12, 12)), "is a Resizing"),
        (keras.Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2)]), "have 1 channels"),
        (keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(1, activation="sigmoid")]), "sigmoid"),
    ]:
        model.save(tmp_path / "other.keras")
        message = galaxy_gpu("model", "import", tmp_path / "other.keras", "--out", tmp_path / "no", code=2).stderr
        assert words in message and "other.keras" in message and message.count("\n") == 1, message
        assert not (tmp_path / "no").exists()


def test_keras_opens_a_trained_run(galaxy_gpu, trained_run, tmp_path):
    file = tmp_path / "galaxies.keras"
    galaxy_gpu("model", "export", trained_run, "--out", file)
    model = keras.saving.load_model(file)
    assert [type(layer).__name__ for layer in model.layers][:3] == ["Rescaling", "Conv2D", "MaxPooling2D"]
    assert model.layers[1].activation is keras.activations.relu
    pixels = images(3, 32, 32)
    wanted = softmax(model.predict(pixels, verbose=0))
    for one, row in zip(pixels, wanted):
        got = probabilities(galaxy_gpu, trained_run, one, tmp_path)
        assert numpy.abs(got - row).max() < TOLERANCE
    # saved by Keras again, it is still ours
    model.save(tmp_path / "again.keras")
    imported(galaxy_gpu, tmp_path / "again.keras", tmp_path / "again.safetensors")
    assert probabilities(galaxy_gpu, tmp_path / "again.safetensors", pixels[0], tmp_path) == pytest.approx(
        probabilities(galaxy_gpu, trained_run, pixels[0], tmp_path), abs=0
    )


def test_weights_are_loaded_into_the_notebooks_network(galaxy_gpu, trained_run, tmp_path):
    file = tmp_path / "galaxies.weights.h5"
    galaxy_gpu("model", "export", trained_run, "--out", file)
    stack = [layers.Input((32, 32, 3)), layers.RandomFlip("horizontal"), layers.Rescaling(1 / 255)]
    for filters in (16, 32, 64):
        stack += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    stack += [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10, activation="softmax")]
    model = keras.Sequential(stack)
    model.load_weights(file)
    pixels = images(2, 32, 32, seed=2)
    for one, row in zip(pixels, numpy.asarray(model(pixels, training=False))):
        assert numpy.abs(probabilities(galaxy_gpu, trained_run, one, tmp_path) - row).max() < TOLERANCE


@pytest.mark.parametrize("ending", ["keras", "weights.h5"])
def test_there_and_back_is_the_same_file(galaxy_gpu, trained_run, tmp_path, ending):
    file = tmp_path / f"galaxies.{ending}"
    galaxy_gpu("model", "export", trained_run, "--out", file)
    said = imported(galaxy_gpu, file, tmp_path / "back.safetensors")
    assert said["notes"] == []
    before = (trained_run / "weights/best.safetensors").read_bytes()
    assert (tmp_path / "back.safetensors").read_bytes() == before
    first = file.read_bytes()
    galaxy_gpu("model", "export", trained_run, "--out", file)
    assert file.read_bytes() == first


def test_safetensors_are_read_in_three_lines(galaxy_gpu, trained_run, tmp_path):
    galaxy_gpu("model", "export", trained_run, "--out", tmp_path / "galaxies.safetensors")
    galaxy_gpu("model", "export", trained_run, "--out", tmp_path / "galaxies.keras")
    from safetensors.numpy import load_file

    weights = load_file(tmp_path / "galaxies.safetensors")
    kernel = weights["conv2d.kernel"]  # height x width x in x out

    model = keras.saving.load_model(tmp_path / "galaxies.keras")
    assert numpy.array_equal(kernel, model.get_weights()[0])
    with safetensors.safe_open(tmp_path / "galaxies.safetensors", "numpy") as file:
        card = json.loads(file.metadata()["galaxy-gpu"])
    assert len(card["classes"]) == 10
