"""The comparison as JSON: plain numbers, null for what can't be known, the same bytes for the same results."""

from __future__ import annotations

import json
from typing import TextIO

from actbench.analysis.table.result import Comparisons


class JsonReport:
    """The documented schema, in ASCII, so that no terminal or pipe can spoil it."""

    def render(self, comparisons: Comparisons, target: TextIO) -> None:
        """Write one object and a line's end."""
        json.dump(comparisons.to_dict(), target, indent=2, allow_nan=False)
        target.write("\n")


plugin = JsonReport()
