"""Finished runs for other programs: one file an exporter, with a ``plugin`` that follows the ``Exporter`` protocol.

An exporter imports its package when it exports, and at no other time. It writes to this machine alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from actbench.analysis.export._runs import Exported, ExportedRun


class Exporter(Protocol):
    """Writes runs where another program finds them.

    Attributes:
        package: The name by which pip installs what it needs.
        default: The file or folder that is written where no ``-o`` is given.
    """

    package: str
    default: Path

    def export(self, runs: Sequence[ExportedRun], target: Path) -> Exported:
        """Write the runs; those that lie there with the same content are replaced or left as they are, never doubled.

        Raises:
            ModuleNotFoundError: When its package is not installed.
            UsageError: When the target can't take them.
        """
        ...
