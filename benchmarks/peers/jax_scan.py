"""JAX: everything compiled, one ``lax.scan`` over the full batches of an epoch, one more step for what is left over.

    python -m benchmarks.peers.jax_scan --runs 2 --threads 1 --data FOLDER

Timed: initial weights, shuffling, gathering batches, forward, backward, step. Not timed: imports, reading and
normalising the images, compiling (told as ``compile_seconds``; once for each activation), the test after the last
epoch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from benchmarks.peers.program import Stopwatch, report, task
from benchmarks.workloads import Run, Workload

GIVEN = task(__doc__)
if GIVEN.threads == 1:  # read when XLA starts; its pool is as large as the processors that the process may use
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

from benchmarks.peers.examples import arrays  # noqa: E402

Params = list[dict[str, jax.Array]]
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    name: getattr(jax.nn, name) for name in ("relu", "leaky_relu", "elu", "selu", "silu")
} | {"gelu": lambda z: jax.nn.gelu(z, approximate=False)}


def initial(workload: Workload, run: Run) -> Params:
    """He-normal weights, hidden biases at ``run.bias``, the last at 0; kernels (H, W, in, out), images (B, H, W, C)."""
    channels = [workload.shape[0], *(width for block in workload.blocks for width in block)]
    units = [workload.flat, *workload.dense, workload.classes]
    shapes = [(3, 3, *pair) for pair in pairwise(channels)] + list(pairwise(units))
    keys = jax.random.split(jax.random.key(run.seed), len(shapes))
    he_normal = jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal")
    params = [
        {"weight": he_normal(key, shape), "bias": jnp.full(shape[-1], run.bias)}
        for key, shape in zip(keys, shapes, strict=True)
    ]
    params[-1]["bias"] = jnp.zeros(workload.classes)
    return params


def logits(workload: Workload, activation: str, params: Params, x: jax.Array) -> jax.Array:
    f, layers = ACTIVATIONS[activation], iter(params)
    for block in workload.blocks:
        for _ in block:
            layer = next(layers)
            x = lax.conv_general_dilated(x, layer["weight"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = f(x + layer["bias"])
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = x.reshape(len(x), -1)
    for _ in workload.dense:
        layer = next(layers)
        x = f(x @ layer["weight"] + layer["bias"])
    layer = next(layers)
    return x @ layer["weight"] + layer["bias"]


def epoch_of(workload: Workload, activation: str) -> Any:
    """The jitted function of one epoch: (params, velocity), key, images, labels -> (params, velocity)."""

    def loss(params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
        logs = jax.nn.log_softmax(logits(workload, activation, params, x))
        return -jnp.take_along_axis(logs, y[:, None], axis=1).mean()

    def epoch(state: tuple[Params, Params], key: jax.Array, images: jax.Array, labels: jax.Array) -> Any:
        def step(state: tuple[Params, Params], index: jax.Array) -> tuple[tuple[Params, Params], None]:
            params, velocity = state
            gradient = jax.grad(loss)(params, images[index], labels[index])
            velocity = jax.tree.map(lambda v, g: workload.momentum * v + g, velocity, gradient)
            params = jax.tree.map(lambda p, v: p - workload.learning_rate * v, params, velocity)
            return (params, velocity), None

        order, size = jax.random.permutation(key, len(images)), workload.batch_size
        full = len(images) // size * size
        state, _ = lax.scan(step, state, order[:full].reshape(-1, size))
        return step(state, order[full:])[0] if full < len(images) else state

    return jax.jit(epoch, donate_argnums=0)


def start(workload: Workload, run: Run, epochs: int) -> tuple[tuple[Params, Params], jax.Array]:
    """The untrained state and a key for each epoch."""
    params = initial(workload, run)
    return (params, jax.tree.map(jnp.zeros_like, params)), jax.random.split(jax.random.key(run.seed + 1), epochs)


def main() -> None:
    workload, data = GIVEN.workload, arrays(GIVEN)
    images, test = (jnp.asarray(part.transpose(0, 2, 3, 1)) for part in (data.train_images, data.test_images))
    labels, test_labels = jnp.asarray(data.train_labels), jnp.asarray(data.test_labels)
    compiled, began = {}, time.perf_counter()
    for run in GIVEN.runs:
        if run.activation not in compiled:
            state, keys = start(workload, run, GIVEN.epochs)
            lowered = epoch_of(workload, run.activation).lower(state, keys[0], images, labels)
            compiled[run.activation] = lowered.compile()
    compile_seconds = time.perf_counter() - began
    stopwatch, accuracies = Stopwatch(GIVEN), []
    for run in GIVEN.runs:
        with stopwatch.training():
            state, keys = start(workload, run, GIVEN.epochs)
            for key in keys:
                state = compiled[run.activation](state, key, images, labels)
            jax.block_until_ready(state)
        outputs = [logits(workload, run.activation, state[0], test[at : at + 1000]) for at in range(0, len(test), 1000)]
        accuracies.append(float((jnp.concatenate(outputs).argmax(1) == test_labels).mean()))
    report(GIVEN, stopwatch.seconds, accuracies, ("jax", "jaxlib"), compile_seconds=compile_seconds)


if __name__ == "__main__":
    main()
