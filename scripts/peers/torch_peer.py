"""conv4 in PyTorch on the CPU: a step and inference, and the convolutions of residual networks; channels-last memory.

torch_peer.py step --size 64 --batch 50
torch_peer.py inference --size 256 --batch 1
torch_peer.py convolutions --shapes 32x64,64x32,128x16,256x8
"""

import argparse

import torch
from timing import median_ms, report
from torch import nn

LAST = torch.channels_last


def network(size):
    channels, stack = [3, 16, 32, 64, 128], []
    for before, after in zip(channels, channels[1:]):
        stack += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    flat = 128 * (size // 16) ** 2
    head = [nn.Linear(flat, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)]
    return nn.Sequential(*stack, nn.Dropout(0.2), nn.Flatten(), *head).to(memory_format=LAST)


def pictures(batch, size):
    return torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8).contiguous(memory_format=LAST)


def inference_ms(net, images, seconds):
    net.eval()
    with torch.inference_mode():
        return median_ms(lambda: net(images.float() / 255), seconds)


def step(args):
    net, images, labels = network(args.size), pictures(args.batch, args.size), torch.randint(0, 10, (args.batch,))
    adam = torch.optim.Adam(net.parameters(), 1e-3, eps=1e-7)

    def once():
        adam.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(net(images.float() / 255), labels).backward()
        adam.step()

    step_ms = median_ms(once, args.seconds)
    report(step_ms=step_ms, inference_ms=inference_ms(net, images, args.seconds / 2))


def inference(args):
    report(inference_ms=inference_ms(network(args.size), pictures(args.batch, args.size), args.seconds))


def convolutions(args):
    """Forward, inputs' and weights' gradient of a 3x3 convolution, each timed alone."""
    found = {}
    for shape in args.shapes.split(","):
        channels, size = map(int, shape.split("x"))
        images = torch.rand(args.batch, channels, size, size).contiguous(memory_format=LAST)
        weights = torch.rand(channels, channels, 3, 3).contiguous(memory_format=LAST)
        bias = torch.rand(channels)
        gradient = torch.rand(args.batch, channels, size, size).contiguous(memory_format=LAST)

        def backward(which):
            same = ([channels], [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
            return torch.ops.aten.convolution_backward(gradient, images, weights, *same, which)

        with torch.inference_mode():
            calls = {
                "forward": lambda: nn.functional.conv2d(images, weights, bias, padding=1),
                "backward_input": lambda: backward([True, False, False]),
                "backward_weights": lambda: backward([False, True, True]),
            }
            for name, call in calls.items():
                found[f"{shape} {name}"] = median_ms(call, args.seconds / 4)
    report(**found)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["step", "inference", "convolutions"])
    parser.add_argument("--shapes", default="")
    parser.add_argument("--seconds", type=float, default=3)
    for name, default in [("size", 64), ("batch", 50), ("threads", 2)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    {"step": step, "inference": inference, "convolutions": convolutions}[args.what](args)


main()
