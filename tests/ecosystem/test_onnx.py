"""ONNX's own checker takes what galaxy-gpu exports, and onnxruntime computes with it what galaxy-gpu and Keras do."""

import json

import numpy
import onnx
import onnxruntime
import pytest
from keras_models import TOLERANCE, conv4, images, keras, odd, probabilities, softmax


def session(file):
    """A checked model, ready to run."""
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def test_a_trained_run_in_onnxruntime(galaxy_gpu, trained_run, tmp_path):
    file = tmp_path / "galaxies.onnx"
    galaxy_gpu("model", "export", trained_run, "--out", file)
    runtime = session(file)
    (fed,) = runtime.get_inputs()
    assert (fed.name, fed.type, fed.shape) == ("images", "tensor(uint8)", ["N", 32, 32, 3])
    assert [(out.name, out.shape) for out in runtime.get_outputs()] == [("logits", ["N", 10]), ("probabilities", ["N", 10])]
    pixels = images(4, 32, 32)
    logits, scores = runtime.run(None, {"images": pixels})
    assert numpy.abs(softmax(logits) - scores).max() < 1e-6
    for one, row in zip(pixels, scores):
        assert numpy.abs(probabilities(galaxy_gpu, trained_run, one, tmp_path) - row).max() < TOLERANCE
    # any number of images at a time
    assert numpy.abs(runtime.run(["logits"], {"images": pixels[:1]})[0] - logits[:1]).max() < TOLERANCE
    classes = json.loads(runtime.get_modelmeta().custom_metadata_map["classes"])
    said = json.loads((trained_run / "metrics.json").read_text())["per_class"]
    assert classes == [row["name"] for row in said]
    first = file.read_bytes()
    galaxy_gpu("model", "export", trained_run, "--out", file)
    assert file.read_bytes() == first


@pytest.mark.parametrize("make, size", [(odd, (37, 29)), (lambda: conv4(48, 5, augmented=False), (48, 48))])
def test_onnxruntime_agrees_with_keras(galaxy_gpu, tmp_path, make, size):
    model = make()
    model.save(tmp_path / "model.keras")
    galaxy_gpu("model", "import", tmp_path / "model.keras", "--out", tmp_path / "run")
    galaxy_gpu("model", "export", tmp_path / "run", "--out", tmp_path / "model.onnx")
    runtime = session(tmp_path / "model.onnx")
    pixels = images(3, *size, seed=3)
    logits, scores = runtime.run(None, {"images": pixels})
    wanted = model.predict(pixels.astype("float32"), verbose=0)
    got = scores if isinstance(model, keras.Sequential) else logits
    # logits around one, summed up in two orders of f32
    assert numpy.abs(got - wanted).max() < 1e-5
    assert numpy.abs(wanted).max() > 0.05
