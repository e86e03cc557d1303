"""The limit: only the products that training can't do without, on random operands of the right sizes.

    python -m benchmarks.peers.products --runs 2 --threads 1 --data FOLDER

For every step and layer: outputs, the weights' gradient and, but for the first layer, the inputs' gradient. No data,
biases, activations, loss or optimizer, so nothing is learned and the folder is not read. Each dense product is done by
the fastest of torch's kernels on this machine, found in some hundredths of a second before the clock starts;
convolutions lie channels-last. Operands are reused from step to step and stay in the cache where they fit: faster than
any training can be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.peers.program import Stopwatch, Task, report, task
from benchmarks.workloads import Workload

Product = Callable[[Tensor, Tensor], Tensor]
Step = Callable[[], None]
TRIALS, REPEATS = 5, 10


def by_mm(x: Tensor, weight: Tensor) -> Tensor:
    """X Wᵀ by torch's ordinary library (MKL on x86)."""
    return torch.mm(x, weight.t())


def by_onednn(x: Tensor, weight: Tensor) -> Tensor:
    """X Wᵀ by oneDNN; an internal operator of torch."""
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return found


def dense(
    product: Product,
    where: dict[str, Any],
    sizes: tuple[int, int, int],
    *,
    first: bool,
    forward_only: bool = False,
) -> Step:
    """One step of a dense layer: sizes are examples, inputs, outputs; ``where`` has device and dtype."""
    examples, inputs, outputs = sizes
    x, weight = torch.randn(examples, inputs, **where), torch.randn(outputs, inputs, **where)
    slope = torch.randn(examples, outputs, **where)

    def step() -> None:
        product(x, weight)
        if forward_only:
            return
        product(slope.t(), x.t())
        if not first:
            product(slope, weight.t())

    return step


def fastest_dense(where: dict[str, Any], sizes: tuple[int, int, int], **kind: bool) -> tuple[Step, str]:
    """The step by the kernel that takes least time here, and the kernel's name."""
    kernels = [by_mm, by_onednn] if where["device"] == "cpu" and torch.backends.mkldnn.is_available() else [by_mm]
    steps = {kernel.__name__: dense(kernel, where, sizes, **kind) for kernel in kernels}
    steps = {name: step for name, step in steps.items() if _works(step)}
    name = min(steps, key=lambda name: _seconds(steps[name]))
    return steps[name], name


def convolution(
    where: dict[str, Any],
    sizes: tuple[int, int, int],
    side: int,
    *,
    first: bool,
    forward_only: bool = False,
) -> Step:
    """One step of a 3×3 convolution with padding: sizes are examples, input and output channels."""
    examples, inputs, outputs = sizes

    def images(channels: int, kernel: int | None = None) -> Tensor:
        shape = (outputs, channels, kernel, kernel) if kernel else (examples, channels, side, side)
        return torch.randn(shape, **where).contiguous(memory_format=torch.channels_last)

    x, weight, slope = images(inputs), images(inputs, 3), images(outputs)
    geometry = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)  # stride, padding, dilation, not transposed, groups

    def step() -> None:
        F.conv2d(x, weight, padding=1)
        if forward_only:
            return
        torch.ops.aten.convolution_backward(slope, x, weight, None, *geometry, [not first, True, False])

    return step


def layers(
    workload: Workload,
    examples: int,
    device: str,
    dtype: torch.dtype = torch.float32,
    *,
    forward_only: bool = False,
) -> Iterator[tuple[Step, str]]:
    """Each layer's step for a batch of so many examples, and its kernel; or only the pass forward."""
    where = {"device": device, "dtype": dtype}
    inputs, side, first = workload.shape[0], workload.shape[1], True
    for block in workload.blocks:
        for outputs in block:
            sizes = (examples, inputs, outputs)
            yield convolution(where, sizes, side, first=first, forward_only=forward_only), "conv2d"
            inputs, first = outputs, False
        side //= 2
    for inputs, outputs in pairwise((workload.flat, *workload.dense, workload.classes)):
        yield fastest_dense(where, (examples, inputs, outputs), first=first, forward_only=forward_only)
        first = False


def _works(step: Step) -> bool:
    """Return whether oneDNN has this kernel for this processor; in bfloat16 it needs AVX-512."""
    try:
        step()
    except RuntimeError:
        return False
    return True


def _seconds(step: Step) -> float:
    """Least time of some repeats; the least, because only noise adds to it."""
    found = []
    for _ in range(TRIALS):
        began = time.perf_counter()
        for _ in range(REPEATS):
            step()
        found.append(time.perf_counter() - began)
    return min(found)


def multiply(task: Task, full: list[Step], rest: list[Step]) -> None:
    for _ in range(task.epochs):
        for _ in range(task.examples // task.workload.batch_size):
            for step in full:
                step()
        for step in rest:
            step()


@torch.no_grad()
def main() -> None:
    given = task(__doc__)
    torch.set_num_threads(given.threads)
    dtype = torch.bfloat16 if given.precision == "bfloat16" else torch.float32
    full, names = zip(*layers(given.workload, given.workload.batch_size, given.device, dtype), strict=True)
    left = given.examples % given.workload.batch_size
    rest = [step for step, _ in layers(given.workload, left, given.device, dtype)] if left else []
    stopwatch = Stopwatch(given)
    for _ in given.runs:
        with stopwatch.training():
            multiply(given, list(full), rest)
    report(given, stopwatch.seconds, [], ("torch",), kernels=list(names))


if __name__ == "__main__":
    main()
