"""What the tests against other programs' readers share: galaxy-gpu run as its users run it, and a small trained run."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Keras without TensorFlow; read before `import keras`.
os.environ["KERAS_BACKEND"] = "numpy"


def run(*arguments, code=0, **options):
    """Runs galaxy-gpu, and holds it to its exit code."""
    program = os.environ.get("GALAXY_GPU", ROOT / "target/release/galaxy-gpu")
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == code, f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def galaxy_gpu():
    """Runs galaxy-gpu with these arguments."""
    return run


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory):
    """The folder of a small run on simulated galaxies of 32 pixels, ten classes."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    run("train", "--adapter", 0, "--images", 200, "--size", 32, "--model", "conv3", "--epochs", 2, "--out", folder)
    return folder
