"""The pictures of the page of claims: the product's own charts of committed results, the same bytes every time.

Behind the last line of each picture stand the version of matplotlib that drew it and a digest of the numbers in it.
Another version sets texts and ticks a little differently, so that only the digest can be held to the results there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from actbench.analysis.compare import compare
from actbench.analysis.plots._figures import Drawn, charts_of, figure_of, image_bytes
from actbench.analysis.plots._style import LOOKS
from actbench.cli.pack import CHARTS_OF_CURVES
from benchmarks.claims.answers import EvidenceError
from benchmarks.claims.evidence import Study

MAX_BYTES = 150_000
"""A reader on a slow line loads a dozen of them."""


@dataclass(frozen=True)
class Picture:
    """A chart that the page shows.

    Args:
        name: Of its file, without ``claims-`` and ending.
        study: Of which.
        chart: One of ``actbench list charts``.
        where: The runs that it is made of: one dataset and one model.
        tuned: Whether it is of the tuned table.
        by: Factors that stay, where others are averaged over.
        metric: The leading one; empty for the study's own.
        baseline: Factor -> value; None for the study's own.
        only: Factor -> value, of the rows that are drawn.
    """

    name: str
    study: Study
    chart: str
    where: str = ""
    tuned: bool = False
    by: Sequence[str] = ()
    metric: Sequence[str] = ()
    baseline: dict[str, Any] | None = None
    only: dict[str, Any] | None = None

    @property
    def file(self) -> str:
        """Return the file's name."""
        return f"claims-{self.name}.svg"

    @cached_property
    def collected(self) -> Drawn:
        """Return the chart with its numbers.

        Raises:
            EvidenceError: When the runs are of several tables, or have no data for the chart.
        """
        records = self.study.picture_source(self.where, curves=self.chart in CHARTS_OF_CURVES)
        found = compare(records, by=self.by, metric=self.metric, baseline=self.baseline, where=self.only)
        tables = [one for one in found.comparisons if (one.tuned is not None) == self.tuned]
        if len(tables) != 1:
            titles = "; ".join(one.title for one in tables) or "none"
            raise EvidenceError(f"picture {self.name} is of one table, not of {len(tables)}: {titles}")
        drawn = charts_of(tables[0], [self.chart])
        if not drawn:
            raise EvidenceError(f"picture {self.name}: {tables[0].title} has no data for the chart {self.chart}")
        return drawn[0]

    def svg(self) -> bytes:
        """Return the picture.

        Raises:
            EvidenceError: As ``collected``, and for a picture that is too large.
        """
        import matplotlib

        drawn, look = self.collected, LOOKS["screen"]
        content = image_bytes(figure_of(drawn, look=look), "svg", look).rstrip(b"\n")
        note = f"\n<!-- matplotlib {matplotlib.__version__}, numbers {digest(drawn)} -->\n"
        if len(content) + len(note) > MAX_BYTES:
            raise EvidenceError(f"picture {self.name} has {len(content):,} bytes, more than {MAX_BYTES:,}")
        return content + note.encode()


def digest(drawn: Drawn) -> str:
    """Return a digest of the numbers and names in a chart, to six digits: further ones differ by processor."""
    text = json.dumps([drawn.name, asdict(drawn.data)], default=str, sort_keys=True, ensure_ascii=False)
    rounded = json.loads(text, parse_float=lambda digits: f"{float(digits):.6g}")
    return hashlib.sha256(json.dumps(rounded, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def difference(committed: Path, picture: Picture) -> str:
    """Return how a committed picture differs from the results, in words; empty when it does not."""
    import matplotlib

    try:
        content = committed.read_bytes()
    except OSError:
        return f"{committed.name} is missing"
    note = content.rstrip(b"\n").rpartition(b"\n")[2].decode(errors="replace")
    if f"numbers {digest(picture.collected)} " not in note:
        return f"{committed.name} shows other numbers than the results: {note}"
    if f"matplotlib {matplotlib.__version__}," in note and content != picture.svg():
        return f"{committed.name} is not the picture that these results make"
    return ""
