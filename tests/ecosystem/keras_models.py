"""Models that Keras makes for the tests, with weights that matter, and how their numbers are compared with galaxy-gpu's."""

import json
import os

os.environ["KERAS_BACKEND"] = "numpy"  # read by `import keras`

import keras
import numpy
from keras import layers
from PIL import Image


def filled(model, seed=5):
    """The model, with biases that are not zero."""
    random = numpy.random.default_rng(seed)
    kernels = [w if w.ndim > 1 else random.normal(0, 0.05, w.shape).astype(w.dtype) for w in model.get_weights()]
    model.set_weights(kernels)
    return model


def conv4(size, classes, augmented=True):
    """The notebook's second network with what people put around it."""
    augmentation = keras.Sequential(
        [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomTranslation(0.1, 0.1)]
    )
    stack = [layers.Input((size, size, 3))]
    stack += [augmentation, layers.RandomZoom(0.1)] if augmented else []
    stack += [layers.Rescaling(1 / 255)]
    for filters in (16, 32, 64, 128):
        stack += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    stack += [layers.Dropout(0.2), layers.Flatten()]
    stack += [layers.Dense(256, activation="relu"), layers.Dense(128, activation="relu")]
    stack += [layers.Dense(classes, activation="softmax")]
    return filled(keras.Sequential(stack, name="conv4"))


def odd():
    """A functional chain of everything that is seldom: other kernels, strides, paddings, no biases, an image that is no square."""
    images = keras.Input((37, 29, 3))
    values = layers.Rescaling(1 / 255)(images)
    values = layers.Conv2D(5, 5, strides=2, padding="same", use_bias=False)(values)
    values = layers.ReLU()(values)
    values = layers.Conv2D(6, 4, padding="same")(values)
    values = layers.Activation("relu")(values)
    values = layers.MaxPooling2D(3, strides=2)(values)
    values = layers.Conv2D(7, 2, strides=3, padding="same", activation="relu")(values)
    values = layers.Conv2D(4, 2, padding="valid")(values)
    values = layers.Flatten()(values)
    values = layers.Dense(9, use_bias=False, activation="relu")(values)
    return filled(keras.Model(images, layers.Dense(4)(values), name="odd"))


def images(count, height, width, seed=1):
    """Bytes that no two models take alike."""
    return numpy.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=numpy.uint8)


def probabilities(galaxy_gpu, weights, pixels, folder, *options):
    """What galaxy-gpu says of one image."""
    path = folder / "image.png"
    Image.fromarray(pixels).save(path)
    said = json.loads(galaxy_gpu("predict", weights, path, "--json", *options).stdout)
    return numpy.array(list(said["probabilities"].values()))


def softmax(logits):
    """Probabilities, in 64 bits."""
    values = numpy.exp(logits.astype(numpy.float64) - logits.max(-1, keepdims=True))
    return values / values.sum(-1, keepdims=True)


def centred(probabilities):
    """Logits but for their mean, which softmax does not show."""
    logits = numpy.log(probabilities)
    return logits - logits.mean(-1, keepdims=True)


# Sums of some thousand products of numbers around one, in two orders of f32.
TOLERANCE = 1e-4
