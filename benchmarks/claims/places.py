"""Where the studies and their committed results lie.

    configs/claims/bias.yaml      -> the study claims-bias, results/claims/bias.tar.xz, .json, .csv, .html.gz
    configs/published/snn.yaml    -> published-snn, results/published/snn.…

A study of the first group is named by its file alone (``bias``), one of the others with its group (``published/snn``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from actbench import Study

ROOT = Path(__file__).parents[2]
CLAIMS, PUBLISHED = "claims", "published"
GROUPS = (CLAIMS, PUBLISHED)
PACKED = (".tar.xz", ".zip")
"""Endings of packed studies, the smaller one first."""

WITHOUT_CURVES = ("activations", "bias", "explosions", "leaky", "useless", "published/narrow_collapse")
"""Studies of a thousand runs and more of which neither the page nor a chart needs epochs: four fifths of their size."""


@dataclass(frozen=True)
class Place:
    """One study's config, and where its results are committed.

    Args:
        group: ``claims`` or ``published``.
        stem: The config's file name without its ending.
    """

    group: str
    stem: str

    @property
    def name(self) -> str:
        """Return how the page names the study: ``bias``, ``published/snn``."""
        return self.stem if self.group == CLAIMS else f"{self.group}/{self.stem}"

    @property
    def config(self) -> str:
        """Return the name that ``actbench run`` takes: ``claims/bias``."""
        return f"{self.group}/{self.stem}"

    @property
    def study(self) -> str:
        """Return the name of the study's folder: ``claims-bias``."""
        return f"{self.group}-{self.stem}"

    @property
    def pack_options(self) -> tuple[str, ...]:
        """Return what the committed file leaves out: the layers' distributions, of large studies all epochs."""
        return ("--no-histograms", *(("--no-curves",) if self.name in WITHOUT_CURVES else ()))

    @property
    def planned(self) -> int:
        """Return the number of runs that the config stands for; the packed ones may be a part of them."""
        return len(Study.from_yaml(ROOT / "configs" / f"{self.config}.yaml").specs())

    def result(self, results: Path, ending: str) -> Path:
        """Return one of the committed files: ``results/claims/bias.json``."""
        return results / self.group / f"{self.stem}{ending}"


def place_of(name: str) -> Place:
    """Return the place of a study by its name: ``bias``, ``claims/bias`` or ``published/snn``.

    >>> place_of("bias").config, place_of("published/snn").name
    ('claims/bias', 'published/snn')
    """
    group, _, stem = name.rpartition("/")
    return Place(group or CLAIMS, stem)


def all_places(configs: Path = ROOT / "configs") -> list[Place]:
    """Return the studies that have a config, claims first, each group by name."""
    return [Place(group, path.stem) for group in GROUPS for path in sorted((configs / group).glob("*.yaml"))]


def packed_file(results: Path, name: str) -> Path | None:
    """Return a study's packed results; None where there are none."""
    place = place_of(name)
    found = (place.result(results, ending) for ending in PACKED)
    return next((path for path in found if path.is_file()), None)
