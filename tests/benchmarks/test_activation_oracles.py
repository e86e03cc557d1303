"""The activations beside torch, jax, keras and mpmath: the program that writes docs/activations.md keeps its word."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow  # importing jax and keras, and 1,000 numbers of 40 digits for each row

ROUNDING = 1e-15
"""Of mpmath's numbers, which are exact: some units in the last place of float64."""

LIBRARIES_OWN = 2e-13
"""Of another library's, which may cancel: the slope of x·tanh(exp(x)) as autograd takes it is 8e-14 off."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All that the program finds; it would fail on a warning."""
    settings = {"KERAS_BACKEND": "jax", "KERAS_HOME": str(tmp_path_factory.mktemp("keras")), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "activation_oracles.py"), "--json"]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_every_row_agrees_with_two_oracles_at_1_000_points(found: dict[str, Any]) -> None:
    for one in found["agreements"]:
        allowed = ROUNDING if one["oracle"] == "mpmath" else LIBRARIES_OWN
        assert one["values"] <= allowed, one
        assert one["slopes"] <= allowed, one
    oracles: dict[str, set[str]] = {}
    for one in found["agreements"]:
        oracles.setdefault(one["row"], set()).add(one["oracle"])
    assert len(oracles) == 23
    assert all(len(names) >= 2 and "mpmath" in names for names in oracles.values())


def test_what_libraries_return_at_odd_points_is_no_number_the_other_number_or_a_flushed_one(
    found: dict[str, Any],
) -> None:
    for one in found["odd_points"]:
        here, there = one["ours"], one["theirs"]
        overflows_within = there == "nan" and one["z"] in ("inf", "-inf") and here != "nan"
        drops_nan = here == "nan" and there == "0" and one["oracle"] == "keras"
        flushed = float(there) == 0 and abs(float(here)) < 1e-307
        assert overflows_within or drops_nan or flushed, one


def test_the_page_lists_every_row_with_its_oracles(found: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "activations.md").read_text("utf-8")
    listed = set(re.findall(r"^\| `(\w+)` \| ([\w.]+) \| \d", page, re.MULTILINE))
    assert listed == {(one["row"], one["oracle"]) for one in found["agreements"]}
