"""galaxy-gpu's presets in Keras with TensorFlow on the CPU: a step, inference, a whole epoch.

keras_peer.py step --model conv4 --size 64 --batch 50 [--augment]
keras_peer.py epoch --size 64 --train 3200 --held-out 800 --epochs 3
"""

import argparse
import os
import statistics
import time

from timing import median_ms, peak_mib, report

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras  # noqa: E402
import numpy  # noqa: E402
import tensorflow  # noqa: E402
from keras import layers  # noqa: E402


def network(model, size, augment):
    """The preset, with the augmentation layers of the Galaxy10 notebook if asked for."""
    filters, hidden = {"conv3": ((16, 32, 64), (128,)), "conv4": ((16, 32, 64, 128), (256, 128))}[model]
    stack = [layers.Input((size, size, 3)), layers.Rescaling(1 / 255)]
    if augment:
        stack += [
            layers.RandomFlip(),
            layers.RandomRotation(0.5),
            layers.RandomZoom((-0.5, 0.1)),
            layers.RandomTranslation(0.08, 0.08),
        ]
    for count in filters:
        stack += [layers.Conv2D(count, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    if model == "conv4":
        stack.append(layers.Dropout(0.2))
    stack.append(layers.Flatten())
    stack += [layers.Dense(units, activation="relu") for units in hidden]
    net = keras.Sequential([*stack, layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return net


def pictures(count, size):
    draw = numpy.random.default_rng(0)
    return draw.integers(0, 256, (count, size, size, 3), dtype=numpy.uint8), draw.integers(0, 10, count)


def step(args):
    net = network(args.model, args.size, args.augment)
    images, labels = map(tensorflow.constant, pictures(args.batch, args.size))
    step_ms = median_ms(lambda: net.train_on_batch(images, labels), args.seconds)
    memory = peak_mib()
    infer = tensorflow.function(lambda images: net(images, training=False))
    report(step_ms=step_ms, peak_mib=memory, inference_ms=median_ms(lambda: infer(images), args.seconds / 2))


def epoch(args):
    net = network(args.model, args.size, augment=True)
    images, labels = pictures(args.train, args.size)
    held_out = pictures(args.held_out, args.size)
    seconds = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, *_):
            self.start = time.perf_counter()

        def on_epoch_end(self, *_):
            seconds.append(time.perf_counter() - self.start)

    net.fit(images, labels, args.batch, args.epochs, verbose=0, callbacks=[Clock()], validation_data=held_out)
    # the first epoch also compiles
    report(epoch_s=statistics.median(seconds[1:] or seconds))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["step", "epoch"])
    parser.add_argument("--model", default="conv4")
    parser.add_argument("--augment", action="store_true")
    parser.add_argument("--seconds", type=float, default=3)
    for name, default in [("size", 64), ("batch", 50), ("threads", 2), ("train", 3200), ("held-out", 800), ("epochs", 3)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    tensorflow.config.threading.set_intra_op_parallelism_threads(args.threads)
    (step if args.what == "step" else epoch)(args)


main()
