"""Configs with something broken in them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

CONFIGS = Path(__file__).parents[2] / "configs"

WRONG = """\
study: dying relu
model: {name: mlp, hidden: [256, x], droput: 0.1}
training:
  epohcs: 5
  batch_size: "12"
  optimizer: {name: sdg}
bias_init: bytorch
seeds: [0, 0, x]
sweep:
  activation: [relu, {name: elu, alhpa: 1}, reluu]
  bias_intt: [1]
  weight_init: []
compare: {baseline: {activation: gelu}, metric: [test.acc]}
expect: [5]
extra: 1
extra: 2
"""

STEPS = """\
sweep: {activation: [relu, {name: elu, alpha: 0.2}], bias_init: [0.0, 0.1]}
zip: {training.optimizer.lr: [0.1, 0.01], training.epochs: [1, 2]}
exclude: [{activation: elu(alpha=0.2), bias_init: 0.1}, {training.epochs: 2}]
compare: {baseline: {activation: relu, training.epochs: 1}}
"""

TEXTS = [path.read_text("utf-8") for path in sorted(CONFIGS.glob("*.yaml"))] + [STEPS, WRONG]
MARKS = [
    ":",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "!!int ",
    "\n",
    "  ",
    "\t",
    "'",
    '"',
    "---\n",
    "? ",
    "|\n",
    "#",
    "%",
]
WORDS = [
    ":",
    "1e-3",
    "0x",
    ".inf",
    "sweep:",
    "model.hidden",
    "<<",
    "\x00",
    "\ud800",
    "true",
    "seeds: ",
    "9" * 30,
    "zip:",
    "exclude:",
    "base: x.yaml",
]
PIECES = st.sampled_from([*MARKS, *WORDS]) | st.text(max_size=5)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A config that once was valid, with some pieces cut out and others put in."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(PIECES) + text[start + draw(st.integers(0, 12)) :]
    return text
