"""Training must not wait for torch's compiler: importing it takes longer than all else before the first epoch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = """
import sys
from small_runs import spec
from actbench.schema.events import Failed, Finished, Saved
from actbench.schema.runtime import Cadence, Cohort, Runtime
from actbench.training.loop import check_cohort, run_cohort

runtime = Runtime(device="cpu", engine="inline", checkpoint_every=Cadence(epochs=1), keep_weights="last")
for optimizer in ("sgd", "adam", "adamw", "rmsprop"):
    for model in ({"name": "mlp", "hidden": [8, 8], "dropout": 0.1}, {"name": "cnn", "channels": [4]}, "mlp"):
        training = {"epochs": 2, "optimizer": optimizer, "clip_norm": 1.0}
        cohort = Cohort(tuple(spec(activation=name, model=model, training=training) for name in ("relu", "prelu")))
        events = [*check_cohort(cohort, runtime), *run_cohort(cohort, runtime)]
        saved = [event.state for event in events if isinstance(event, Saved)]
        events += run_cohort(Cohort(cohort.specs, saved[-1]), runtime)
        assert not any(isinstance(event, Failed) for event in events), events
        assert sum(isinstance(event, Finished) for event in events) == 4
        slow = [name for name in ("torch._dynamo", "torch._inductor", "sympy") if name in sys.modules]
        assert not slow, (optimizer, model, slow)
print("trained")
"""


@pytest.mark.slow
def test_training_imports_neither_torchs_compiler_nor_sympy(tmp_path: Path) -> None:
    """In a process that finds nothing in the user's cache folder, and so compiles and compares the kernels itself."""
    support = str(Path(__file__).parents[1] / "support")
    ended = subprocess.run(
        [sys.executable, "-c", TRAIN],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join([support, *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.stdout, ended.returncode) == ("trained\n", 0), ended.stderr
