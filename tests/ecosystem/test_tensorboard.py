"""Event files as TensorBoard's own reader takes them: every record's checksum, scalars, pictures, text, graph and settings."""

import csv
import io
import warnings

import numpy
import pytest
from PIL import Image

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams import plugin_data_pb2

EVERYTHING = {"scalars": 0, "images": 0, "tensors": 0}
STEPS = 16  # of 160 training images in batches of 10


@pytest.fixture(scope="module")
def board(galaxy_gpu, tmp_path_factory):
    """A run of four epochs that was stopped after two, and its events."""
    run = tmp_path_factory.mktemp("board") / "run"
    line = ["train", "--images", 200, "--size", 32, "--model", "conv3", "--batch", 10, "--out", run]
    galaxy_gpu(*line, "--epochs", 2, "--tensorboard")
    galaxy_gpu("train", "--resume", run, "--epochs", 4)
    return run, read(run)


def read(run):
    events = EventAccumulator(str(run / "tensorboard"), size_guidance=EVERYTHING)
    events.Reload()
    return events


def history(run):
    with open(run / "history.csv", newline="") as file:
        return [{name: float(text) for name, text in row.items()} for row in csv.DictReader(file)]


def test_every_record_has_its_checksum(board):
    run, _ = board
    files = sorted((run / "tensorboard").iterdir())
    assert len(files) == 2
    for file in files:
        # the loader raises DataLossError where a checksum is wrong
        records = [Event.FromString(record) for record in RawEventFileLoader(str(file)).Load()]
        assert records[0].file_version == "brain.Event:2"
        assert len(records) > 2 * STEPS
        assert sum(len(event.SerializeToString()) + 16 for event in records) == file.stat().st_size


def test_scalars_are_those_of_the_history(board):
    run, events = board
    rows = history(run)
    assert len(rows) == 4
    for name in ["loss", "accuracy", "val_loss", "val_accuracy", "seconds"]:
        found = events.Scalars(f"epoch/{name}")
        assert [point.step for point in found] == [STEPS * epoch for epoch in (1, 2, 3, 4)]
        # both are f32
        assert [numpy.float32(point.value) for point in found] == [numpy.float32(row[name]) for row in rows]
        assert all(a.wall_time <= b.wall_time for a, b in zip(found, found[1:]))


def test_steps_go_on_where_the_run_was_resumed(board):
    run, events = board
    for name in ["loss", "accuracy", "learning_rate", "gradient_norm"]:
        points = events.Scalars(f"step/{name}")
        assert [point.step for point in points] == list(range(1, 4 * STEPS + 1))
        assert all(numpy.isfinite(point.value) for point in points)
    # an epoch's loss is the mean over its steps, which are of equal size; f32 against a mean in f64
    losses = [point.value for point in events.Scalars("step/loss")]
    for epoch, row in enumerate(history(run)):
        assert numpy.mean(losses[epoch * STEPS : (epoch + 1) * STEPS]) == pytest.approx(row["loss"], rel=1e-5)
    assert {numpy.float32(point.value) for point in events.Scalars("step/learning_rate")} == {numpy.float32(1e-3)}


def test_pictures_decode(board):
    _, events = board
    assert {"galaxies", "confusion_matrix"} <= set(events.Tags()["images"])
    for tag in events.Tags()["images"]:
        for event in events.Images(tag):
            picture = Image.open(io.BytesIO(event.encoded_image_string))
            picture.load()
            assert (picture.format, picture.size) == ("PNG", (event.width, event.height))
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 10
    assert [event.step for event in events.Images("confusion_matrix")][-1] == 4 * STEPS


def test_graph_is_the_chain_of_layers(board):
    _, events = board
    nodes = {node.name: node for node in events.Graph().node}
    assert list(nodes["conv2d"].input) == ["images"] and list(nodes["loss"].input) == ["dense_1", "labels"]
    assert all(source in nodes for node in nodes.values() for source in node.input)
    sizes = nodes["conv2d"].attr["_output_shapes"].list.shape[0].dim
    assert [size.size for size in sizes] == [-1, 32, 32, 16]
    assert nodes["conv2d"].attr["filters"].s == b"16"


def test_text_and_settings(board):
    _, events = board
    for tag, part in [("model", "| conv2d | 32x32x16 | 448 |"), ("settings", "| batch | 10 |")]:
        assert events.SummaryMetadata(tag).plugin_data.plugin_name == "text"
        assert part in events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    settings = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert settings["batch"].number_value == 10 and settings["model"].string_value == "conv3"
    content = events.SummaryMetadata("_hparams_/session_end_info").plugin_data.content
    assert plugin_data_pb2.HParamsPluginData.FromString(content).session_end_info.status == 1


def test_what_was_undone_does_not_count(galaxy_gpu, tmp_path):
    """A run that was killed after its checkpoint: steps that are trained again replace those of the first file."""
    run = tmp_path / "run"
    line = ["train", "--images", 60, "--size", 16, "--device", "reference", "--model", "conv3", "--batch", 10, "--out", run]
    galaxy_gpu(*line, "--epochs", 2, "--tensorboard")
    # as if the last epoch's checkpoint had not been written
    (run / "checkpoint/current.safetensors").unlink()
    galaxy_gpu("train", "--resume", run)
    events = read(run)
    assert [point.step for point in events.Scalars("epoch/loss")] == [5, 10]
    assert [point.step for point in events.Scalars("step/loss")] == list(range(1, 11))
