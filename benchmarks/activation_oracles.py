"""The activations beside other libraries and beside exact arithmetic: the tables of docs/activations.md.

    KERAS_BACKEND=jax python benchmarks/activation_oracles.py [--json]

Each row of ``LIBRARIES`` is an activation in float64, with its default options, beside a library that has it. What no
library has is written in jax.numpy as its paper has it, and jax takes the slope. The last oracle of every row is mpmath
with 40 digits. keras computes by jax, since its numpy backend is in float32: its shrinking functions are its own, its
squareplus, sparse_plus, sparse_sigmoid and log_sigmoid those of jax.nn.

A difference is |ours − theirs| / max(1, |theirs|), the largest at 1,000 points.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import keras
import mpmath
import numpy as np
import torch
from mpmath import mp
from numpy.typing import NDArray
from torch.nn import functional

from actbench.nn.chosen_activations import function_of, kinks_of, learned_parameters
from actbench.schema.components import Component, resolve

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]

DIGITS = 40
SLOPES_BY_MPMATH = 8
"""Every eighth point: a numerical derivative costs several values."""

ODD = (0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, -5e-324, 1e-310, -1e-310)
"""Both zeros, both infinities, NaN, and numbers below the normal ones."""

sigmoid = jax.nn.sigmoid

PAPERS: dict[str, Callable[[Any], Any]] = {
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "xielu": lambda x: jnp.where(x > 0, 0.8 * x * x, 0.8 * (jnp.expm1(jnp.minimum(x, 0)) - x)) + 0.5 * x,
    "golu": lambda x: x * jnp.exp(-jnp.exp(-x)),
    "star_relu": lambda x: 0.8944 * jax.nn.relu(x) ** 2 - 0.4472,
    "serf": lambda x: x * jax.lax.erf(jnp.log1p(jnp.exp(x))),
    "telu": lambda x: x * jnp.tanh(jnp.exp(x)),
    "lisht": lambda x: x * jnp.tanh(x),
    "aptx": lambda x: (1 + jnp.tanh(x)) * x / 2,
    "isrlu": lambda x: jnp.where(x < 0, x / jnp.sqrt(1 + x * x), x),
    "snake": lambda x: x + jnp.sin(x) ** 2,
    "sine": jnp.sin,
    "elish": lambda x: jnp.where(x >= 0, x, jnp.exp(jnp.minimum(x, 0)) - 1) / (1 + jnp.exp(-x)),
    "logish": lambda x: x * jnp.log(1 + sigmoid(x)),
    "smish": lambda x: x * jnp.tanh(jnp.log(1 + sigmoid(x))),
    "pau": lambda x: (
        jnp.polyval(jnp.array([0.15242, 0.9319, 2.01001, 1.65344, 0.505, 0.03356]), x)
        / (1 + jnp.abs(3.98022 * x**2 + 0.30183 * x**4))
    ),
}
"""What no library has, in jax.numpy, as its paper writes it."""

LIBRARIES: dict[str, dict[str, Callable[[Any], Any]]] = {
    "log_sigmoid": {
        "torch": functional.logsigmoid,
        "jax.nn": jax.nn.log_sigmoid,
        "keras": keras.activations.log_sigmoid,
    },
    "tanhshrink": {"torch": functional.tanhshrink, "keras": keras.activations.tanh_shrink},
    "softshrink": {"torch": functional.softshrink, "keras": keras.activations.soft_shrink},
    "hardshrink": {"torch": functional.hardshrink, "keras": keras.activations.hard_shrink},
    "threshold": {
        "torch": lambda x: functional.threshold(x, 1.0, 0.0),
        "keras": lambda x: keras.activations.threshold(x, 1.0, 0.0),
    },
    "squareplus": {"jax.nn": jax.nn.squareplus, "keras": keras.activations.squareplus},
    "sparse_plus": {"jax.nn": jax.nn.sparse_plus, "keras": keras.activations.sparse_plus},
    "sparse_sigmoid": {"jax.nn": jax.nn.sparse_sigmoid, "keras": keras.activations.sparse_sigmoid},
    **{name: {"jax.numpy": formula} for name, formula in PAPERS.items()},
}
"""Row of ACTIVATIONS -> library -> its function."""


def _logistic(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


EXACT: dict[str, Callable[[Any], Any]] = {
    "log_sigmoid": lambda x: -mp.log1p(mp.exp(-x)),
    "tanhshrink": lambda x: x - mp.tanh(x),
    "softshrink": lambda x: mp.sign(x) * max(abs(x) - mp.mpf("0.5"), 0),
    "hardshrink": lambda x: x if abs(x) > 0.5 else mp.mpf(0),
    "threshold": lambda x: x if x > 1 else mp.mpf(0),
    "squareplus": lambda x: (x + mp.sqrt(x * x + 4)) / 2,
    "sparse_plus": lambda x: mp.mpf(0) if x <= -1 else x if x >= 1 else (x + 1) ** 2 / 4,
    "sparse_sigmoid": lambda x: min(max((x + 1) / 2, mp.mpf(0)), mp.mpf(1)),
    "quick_gelu": lambda x: x * _logistic(mp.mpf(1.702) * x),
    "xielu": lambda x: (mp.mpf(0.8) * (x * x if x > 0 else mp.expm1(x) - x)) + x / 2,
    "golu": lambda x: x * mp.exp(-mp.exp(-x)),
    "star_relu": lambda x: mp.mpf(0.8944) * max(x, 0) ** 2 + mp.mpf(-0.4472),
    "serf": lambda x: x * mp.erf(mp.log1p(mp.exp(x))),
    "telu": lambda x: x * mp.tanh(mp.exp(x)),
    "lisht": lambda x: x * mp.tanh(x),
    "aptx": lambda x: (1 + mp.tanh(x)) * x / 2,
    "isrlu": lambda x: x if x >= 0 else x / mp.sqrt(1 + x * x),
    "snake": lambda x: x + mp.sin(x) ** 2,
    "sine": mp.sin,
    "elish": lambda x: (x if x >= 0 else mp.expm1(x)) * _logistic(x),
    "logish": lambda x: x * mp.log1p(_logistic(x)),
    "smish": lambda x: x * mp.tanh(mp.log1p(_logistic(x))),
    "pau": lambda x: (
        mp.polyval([mp.mpf(c) for c in (0.15242, 0.9319, 2.01001, 1.65344, 0.505, 0.03356)], x)
        / (1 + abs(mp.mpf(3.98022) * x**2 + mp.mpf(0.30183) * x**4))
    ),
}
"""Row -> its formula for mpmath; decimal coefficients are those that float64 holds."""


@dataclass(frozen=True)
class Agreement:
    """How far a row is from an oracle.

    Args:
        row: Of ACTIVATIONS.
        oracle: The library.
        values: Largest difference of f.
        slopes: Largest difference of f′.
    """

    row: str
    oracle: str
    values: float
    slopes: float


@dataclass(frozen=True)
class OddPoint:
    """A number out of the ordinary at which a library's value is another one.

    Args:
        row: Of ACTIVATIONS.
        oracle: The library.
        z: The number, as text.
        ours: f(z) here, as text.
        theirs: f(z) there.
    """

    row: str
    oracle: str
    z: str
    ours: str
    theirs: str


def points(component: Component) -> Floats:
    """Return 1,000 numbers: 500 evenly over −30 … 30, 500 by their size from 1e-12 to 1,000; none at a kink.

    Args:
        component: The activation.
    """
    sizes = np.logspace(-12, 3, 250)
    found = np.concatenate([np.linspace(-30, 30, 500), sizes, -sizes])
    for kink in kinks_of(component):
        found[np.abs(found - kink) < 1e-9] += 1e-6
    return found


def ours(component: Component, z: Floats) -> tuple[Floats, Floats]:
    """Return f(z) and f′(z) as a network in float64 computes them, with learned options at their start."""
    leaf = torch.from_numpy(z.copy()).requires_grad_()
    starts = {
        name: torch.tensor(start, dtype=torch.float64) for name, (_, start) in learned_parameters(component, 1).items()
    }
    value = function_of(component)(leaf, **starts)
    (slope,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach().numpy(), slope.numpy()


def theirs(library: str, function: Callable[[Any], Any], z: Floats) -> tuple[Floats, Floats]:
    """Return a library's f(z) and f′(z) in float64."""
    if library == "torch":
        leaf = torch.from_numpy(z.copy()).requires_grad_()
        value = function(leaf)
        (slope,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach().numpy(), slope.numpy()
    with jax.enable_x64(True):
        x = jnp.asarray(z)
        return np.asarray(function(x)), np.asarray(jax.vmap(jax.grad(function))(x))


def exact(name: str, z: Floats) -> Floats:
    """Return f(z) by mpmath, rounded to float64."""
    with mp.workdps(DIGITS):
        return np.array([float(EXACT[name](mp.mpf(one))) for one in z.tolist()])


def exact_slopes(name: str, z: Floats) -> Floats:
    """Return f′(z) by mpmath's central differences in 40 digits."""
    with mp.workdps(DIGITS):
        return np.array([float(mpmath.diff(EXACT[name], mp.mpf(one))) for one in z.tolist()])


def difference(here: Floats, there: Floats) -> float:
    """Return the largest |here − there| / max(1, |there|)."""
    return float(np.max(np.abs(here - there) / np.maximum(1, np.abs(there))))


def agreements(name: str) -> Iterator[Agreement]:
    """Yield a row's distance to each of its oracles; mpmath is the last."""
    component = resolve("activations", name)
    z = points(component)
    value, slope = ours(component, z)
    # Where a formula overflows within itself, as exp(x) does above 709, there is nothing to compare with: of the
    # papers' formulas in jax.numpy only what is finite counts, and mpmath has all 1,000.
    for library, function in LIBRARIES[name].items():
        found, slopes = theirs(library, function, z)
        sound, sloped = np.isfinite(found), np.isfinite(slopes)
        yield Agreement(
            name, library, difference(value[sound], found[sound]), difference(slope[sloped], slopes[sloped])
        )
    every = slice(None, None, SLOPES_BY_MPMATH)
    yield Agreement(
        name, "mpmath", difference(value, exact(name, z)), difference(slope[every], exact_slopes(name, z[every]))
    )


def odd_points(name: str) -> Iterator[OddPoint]:
    """Yield where a library's value at a number out of the ordinary is another one."""
    z = np.array(ODD)
    value, _ = ours(resolve("activations", name), z)
    for library, function in LIBRARIES[name].items():
        found, _ = theirs(library, function, z)
        for one, here, there in zip(ODD, value.tolist(), found.tolist(), strict=True):
            both_nan = math.isnan(here) and math.isnan(there)
            if not both_nan and here != there and not abs(here - there) <= 1e-15 * max(abs(here), abs(there)) + 5e-324:
                yield OddPoint(name, library, f"{one:g}", f"{here:g}", f"{there:g}")


def report() -> dict[str, Any]:
    """Return all that was found, as plain data."""
    if keras.backend.backend() != "jax":
        raise SystemExit("keras has to compute in float64: set KERAS_BACKEND=jax")
    return {
        "versions": {module.__name__: module.__version__ for module in (torch, jax, keras, mpmath)},
        "agreements": [asdict(one) for name in LIBRARIES for one in agreements(name)],
        "odd_points": [asdict(one) for name in LIBRARIES for one in odd_points(name)],
    }


def markdown(found: dict[str, Any]) -> str:
    """Return the tables as docs/activations.md has them."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines = [
        f"Versions: {versions}.",
        "",
        "| activation | oracle | largest difference of f | of f′ |",
        "|---|---|---|---|",
    ]
    for one in found["agreements"]:
        lines.append(f"| `{one['row']}` | {one['oracle']} | {one['values']:.1e} | {one['slopes']:.1e} |")
    lines += ["", "| activation | library | z | f(z) here | f(z) there |", "|---|---|---|---|---|"]
    for one in found["odd_points"]:
        lines.append(f"| `{one['row']}` | {one['oracle']} | {one['z']} | {one['ours']} | {one['theirs']} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="plain data for a program")
    found = report()
    print(json.dumps(found) if parser.parse_args().json else markdown(found))


if __name__ == "__main__":
    main()
