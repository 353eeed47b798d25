"""A network that galaxy-gpu exported, in ONNX Runtime on the CPU: onnx_peer.py FILE.onnx --size 256 --batch 1"""

import argparse

import numpy
import onnxruntime
from timing import median_ms, report

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("--seconds", type=float, default=3)
for name, default in [("size", 256), ("batch", 1), ("threads", 2)]:
    parser.add_argument(f"--{name}", type=int, default=default)
args = parser.parse_args()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = args.threads
session = onnxruntime.InferenceSession(args.file, options, providers=["CPUExecutionProvider"])
images = numpy.random.default_rng(0).integers(0, 256, (args.batch, args.size, args.size, 3), dtype=numpy.uint8)
report(inference_ms=median_ms(lambda: session.run(["logits"], {"images": images}), args.seconds))
