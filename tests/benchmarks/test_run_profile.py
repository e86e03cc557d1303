"""The profile of a run as a program: it trains a few small runs and shares their time out to the parts."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow  # a program of its own that imports torch and times products


def mnist_files(folder: Path, train: int, test: int) -> None:
    """Images of noise in MNIST's files."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", train), ("t10k", test)):
        pixels = np.random.default_rng(count).integers(0, 255, size=(count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, count, 28, 28) + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + labels.tobytes())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_parts_of_a_run_add_up_and_the_products_stand_beside_them(precision: str, tmp_path: Path) -> None:
    mnist_files(tmp_path, train=700, test=100)
    output = tmp_path / "profile.json"
    size = ["--runs", "2", "--epochs", "1", "--examples", "600", "--rounds", "1", "--precision", precision]
    command = [sys.executable, "-m", "benchmarks.run_profile", *size, "--data", str(tmp_path), "--output", str(output)]
    environment = {key: value for key, value in os.environ.items() if key != "GLIBC_TUNABLES"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)

    assert done.returncode == 0, done.stderr
    result = json.loads(output.read_text("utf-8"))
    rows = {row["part"]: row for row in result["rows"]}
    parts = {"opening: data, initial weights", "gathering batches", "training steps", "validation"}
    assert {*parts, "test", "outside the steps"} <= rows.keys()
    outside = rows.pop("outside the steps")
    assert sum(row["share"]["median"] for row in rows.values()) == pytest.approx(1.0)
    assert 0 < outside["share"]["median"] < 1
    for part in ("training steps", "validation", "test"):
        assert rows[part]["products"] > 0
        ratio = rows[part]["seconds"]["median"] / rows[part]["products"]
        assert rows[part]["ratio"]["median"] == pytest.approx(ratio)
    assert "| training steps |" in done.stdout
    assert f"mnist_mlp, {precision}, 2 runs, 1 epochs, n = 1" in result["title"]
    assert str(ROOT) not in json.dumps(result["machine"])
