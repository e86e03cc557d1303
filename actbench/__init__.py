"""actbench compares neural-network activations and initialisations; this is its public Python API.

The names load what they need when they are first used, so that ``import actbench`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actbench.activations import Activation
    from actbench.comparison.compare import compare
    from actbench.comparison.result import Comparisons
    from actbench.config import Study
    from actbench.health.callback import HealthCallback
    from actbench.health.module import measure_health
    from actbench.health.report import HealthReport
    from actbench.record import RunRecord
    from actbench.runner import run
    from actbench.spec import RunSpec
    from actbench.store import read_results

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "Comparisons",
    "HealthCallback",
    "HealthReport",
    "RunRecord",
    "RunSpec",
    "Study",
    "compare",
    "measure_health",
    "read_results",
    "run",
]

_HOMES = {
    "Activation": "activations",
    "Comparisons": "comparison.result",
    "HealthCallback": "health.callback",
    "HealthReport": "health.report",
    "RunRecord": "record",
    "RunSpec": "spec",
    "Study": "config",
    "compare": "comparison.compare",
    "measure_health": "health.module",
    "read_results": "store",
    "run": "runner",
}


def __getattr__(name: str) -> Any:
    """The public name from the module that holds it (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'actbench' has no attribute '{name}'")
    found = getattr(import_module(f"actbench.{_HOMES[name]}"), name)
    globals()[name] = found  # also where the name is that of its own submodule, which the import has just bound
    return found


def __dir__() -> list[str]:
    """The public names, for completion."""
    return sorted([*__all__, "__version__"])
