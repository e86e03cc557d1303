"""JAX with everything compiled: dense networks by epochs, networks with convolutions step by step.

    python -m benchmarks.peers.jax_jit --runs 2 --threads 1 --data FOLDER

"JAX scan", for dense networks: one ``lax.scan`` over the full batches of an epoch, one more step for what is left over.
"JAX step", for convolutions: a jitted step with donated state in a Python loop, compiled for full batches and for what
is left over, because XLA computes convolutions in a loop of its own many times more slowly: 150 seconds were not enough
to compile and take 24 steps in six scans. Batches are gathered within the step, which takes 376 ms of a processor [363,
467]; gathered before it, 376 [361, 534]; by numpy, 373 [352, 478] (n = 7, in turn, batch 128, one core of a Zen 4).

Timed: initial weights, shuffling, gathering batches, forward, backward, step. Not timed: imports, reading and
normalising the images, compiling (``compile_seconds``, of ``compiled_activations``), the test after the last epoch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

from benchmarks.peers.program import Stopwatch, report, task
from benchmarks.workloads import Run, Workload

GIVEN = task(__doc__)
if GIVEN.threads == 1:  # read when XLA starts; its pool is as large as the processors that the process may use
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax import lax  # noqa: E402

from benchmarks.peers.examples import arrays  # noqa: E402

Params = list[dict[str, jax.Array]]
State = tuple[Params, Params]
"""Parameters and velocities."""

Data = tuple[jax.Array, jax.Array]
"""Images (N, H, W, C) and labels (N,)."""

Epoch = Callable[[State, jax.Array], State]
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
        count, height, width, channels = x.shape
        # A fifth faster a step than lax.reduce_window, whose way back scatters.
        x = x.reshape(count, height // 2, 2, width // 2, 2, channels).max((2, 4))
    x = x.reshape(len(x), -1)
    for _ in workload.dense:
        layer = next(layers)
        x = f(x @ layer["weight"] + layer["bias"])
    layer = next(layers)
    return x @ layer["weight"] + layer["bias"]


def step_of(workload: Workload, activation: str, precision: str) -> Any:
    """The function of one step, not yet compiled: (params, velocity), indices, images, labels -> (params, velocity)."""
    dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32

    def loss(params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
        params, x = jax.tree.map(lambda value: value.astype(dtype), (params, x))
        logs = jax.nn.log_softmax(logits(workload, activation, params, x).astype(jnp.float32))
        return -jnp.take_along_axis(logs, y[:, None], axis=1).mean()

    def step(state: State, index: jax.Array, images: jax.Array, labels: jax.Array) -> State:
        params, velocity = state
        gradient = jax.grad(loss)(params, images[index], labels[index])
        velocity = jax.tree.map(lambda v, g: workload.momentum * v + g, velocity, gradient)
        return jax.tree.map(lambda p, v: p - workload.learning_rate * v, params, velocity), velocity

    return step


def scanned(workload: Workload, step: Any, state: State, key: jax.Array, data: Data) -> Epoch:
    """Compile a whole epoch of an MLP."""

    def epoch(state: State, key: jax.Array, images: jax.Array, labels: jax.Array) -> State:
        order, size = jax.random.permutation(key, len(images)), workload.batch_size
        full = len(images) // size * size
        batches = order[:full].reshape(-1, size)
        state, _ = lax.scan(lambda state, index: (step(state, index, images, labels), None), state, batches)
        return step(state, order[full:], images, labels) if full < len(images) else state

    compiled = jax.jit(epoch, donate_argnums=0).lower(state, key, *data).compile()
    return lambda state, key: compiled(state, key, *data)


def stepped(workload: Workload, step: Any, state: State, key: jax.Array, data: Data) -> Epoch:
    """Compile a step for full batches and one for what is left over, and the shuffling."""
    count, size = len(data[0]), workload.batch_size
    jitted, shuffled = jax.jit(step, donate_argnums=0), jax.jit(lambda key: jax.random.permutation(key, count))
    permutation, order = shuffled.lower(key).compile(), np.arange(count, dtype=np.int32)
    sizes = {len(order[at : at + size]) for at in range(0, count, size)}
    compiled = {one: jitted.lower(state, order[:one], *data).compile() for one in sizes}

    def epoch(state: State, key: jax.Array) -> State:
        order = np.asarray(permutation(key))
        for at in range(0, count, size):
            index = order[at : at + size]
            state = compiled[len(index)](state, index, *data)
        return state

    return epoch


def start(workload: Workload, run: Run, epochs: int) -> tuple[State, jax.Array]:
    """The untrained state and a key for each epoch."""
    params = initial(workload, run)
    return (params, jax.tree.map(jnp.zeros_like, params)), jax.random.split(jax.random.key(run.seed + 1), epochs)


def main() -> None:
    workload, data = GIVEN.workload, arrays(GIVEN)
    images, test = (jnp.asarray(part.transpose(0, 2, 3, 1)) for part in (data.train_images, data.test_images))
    labels, test_labels = jnp.asarray(data.train_labels), jnp.asarray(data.test_labels)
    epochs: dict[str, Epoch] = {}
    predict: dict[str, Any] = {}
    compile_epoch, began = stepped if workload.blocks else scanned, time.perf_counter()
    for run in GIVEN.runs:
        if run.activation not in epochs:
            state, keys = start(workload, run, GIVEN.epochs)
            step = step_of(workload, run.activation, GIVEN.precision)
            predict[run.activation] = jax.jit(partial(logits, workload, run.activation))
            epochs[run.activation] = compile_epoch(workload, step, state, keys[0], (images, labels))
    compile_seconds = time.perf_counter() - began
    stopwatch, accuracies = Stopwatch(GIVEN), []
    for run in GIVEN.runs:
        with stopwatch.training():
            state, keys = start(workload, run, GIVEN.epochs)
            for key in keys:
                state = epochs[run.activation](state, key)
            jax.block_until_ready(state)
        outputs = [predict[run.activation](state[0], test[at : at + 1000]) for at in range(0, len(test), 1000)]
        accuracies.append(float((jnp.concatenate(outputs).argmax(1) == test_labels).mean()))
    report(
        GIVEN,
        stopwatch.seconds,
        accuracies,
        ("jax", "jaxlib"),
        compile_seconds=compile_seconds,
        compiled_activations=len(epochs),
    )


if __name__ == "__main__":
    main()
