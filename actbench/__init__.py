"""actbench compares neural-network activations and initialisations; this is its public Python API.

A name imports the module that holds it when it is first used, so that ``import actbench`` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from actbench._version import __version__

if TYPE_CHECKING:
    from actbench.analysis.compare import compare
    from actbench.analysis.plots._figures import draw_chart
    from actbench.analysis.table.result import Comparisons
    from actbench.config import Study
    from actbench.execution.runner import run
    from actbench.execution.trained_networks import load_network
    from actbench.health.modules.callback import HealthCallback
    from actbench.health.modules.module import measure_health
    from actbench.health.modules.report import HealthReport
    from actbench.nn.activations import Activation
    from actbench.schema.record import RunRecord
    from actbench.schema.spec import RunSpec
    from actbench.storage.reading import read_results

__all__ = [
    "Activation",
    "Comparisons",
    "HealthCallback",
    "HealthReport",
    "RunRecord",
    "RunSpec",
    "Study",
    "__version__",
    "compare",
    "draw_chart",
    "load_network",
    "measure_health",
    "read_results",
    "run",
]

_HOMES = {
    "Activation": "nn.activations",
    "Comparisons": "analysis.table.result",
    "HealthCallback": "health.modules.callback",
    "HealthReport": "health.modules.report",
    "RunRecord": "schema.record",
    "RunSpec": "schema.spec",
    "Study": "config",
    "compare": "analysis.compare",
    "draw_chart": "analysis.plots._figures",
    "load_network": "execution.trained_networks",
    "measure_health": "health.modules.module",
    "read_results": "storage.reading",
    "run": "execution.runner",
}


def __getattr__(name: str) -> Any:
    """Import a public name from the module that holds it, when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'actbench' has no attribute '{name}'")
    found = getattr(import_module(f"actbench.{_HOMES[name]}"), name)
    globals()[name] = found  # also where the name is that of its own submodule, which the import has just bound
    return found


def __dir__() -> list[str]:
    """List the public names, for completion."""
    return sorted(__all__)
