"""Runs of a study that was trained in shards and is not there as a whole: which shards are missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from actbench.config import Study
from actbench.errors import UsageError
from actbench.schema.record import RunOutline, RunRecord
from actbench.system.files import read_file

_SHARD = re.compile(r"([1-9]\d{0,5})/([1-9]\d{0,5})")
"""``I/N``, as records name it."""


def missing_parts(
    records: Sequence[RunRecord | RunOutline], names: Mapping[Path, str], unfinished: Iterable[Path]
) -> Iterator[str]:
    """Yield a sentence for each study whose records are of shards and that has planned runs in no folder.

    Of a study that was trained as a whole nothing is said: whoever trains it knows how far it is, and configs of
    100,000 runs take seconds to read.

    Args:
        records: The runs that have ended.
        names: The folder of each study -> its name, which several folders may have.
        unfinished: Folders of runs that have not.
    """
    begun = {run.name[-8:] for run in unfinished}
    for study, shards in sorted(_shards(records).items()):
        planned = set[str]()
        for folder in (folder for folder, name in names.items() if name == study):
            try:
                planned |= {one.digest for one in Study.from_text(read_file(folder / "study.yaml").decode()).specs()}
            except (OSError, ValueError, UsageError):
                continue  # its settings of the comparison can't be read either, which is reported
        missing = planned - {one.digest for one in records if one.study == study}
        missing = {digest for digest in missing if digest[:8] not in begun}
        if missing:
            are = "is" if len(missing) == 1 else "are"
            text = f"{study}: {len(missing)} of {len(planned)} planned runs {are} not here"
            yield f"{text}; {_which(shards, len(planned))}"


def _shards(records: Sequence[RunRecord | RunOutline]) -> dict[str, set[tuple[int, int]]]:
    """Return each study that was trained in shards -> those that its records name."""
    environments = {(one.study, id(one.environment)): one.environment for one in records}  # one for thousands of runs
    found: dict[str, set[tuple[int, int]]] = {}
    for (study, _), environment in environments.items():
        if match := _SHARD.fullmatch(str(environment.get("shard"))):
            found.setdefault(study, set()).add((int(match[1]), int(match[2])))
    return found


def _which(shards: set[tuple[int, int]], runs: int) -> str:
    """Spell which shards are missing, or that their split is not one.

    Args:
        shards: Those that are there, number and how many.
        runs: Number of planned runs: shards beyond that are empty.

    >>> _which({(1, 5), (4, 5)}, 100), _which({(1, 2), (2, 2)}, 100), _which({(1, 2), (1, 3)}, 9)
    ('no run is of shards 2-3, 5 of 5', 'each of the 2 shards has some', 'those here are of several splits: 1/2, 1/3')
    """
    splits = sorted({of for _, of in shards})
    if len(splits) > 1:
        return f"those here are of several splits: {', '.join(f'{number}/{of}' for number, of in sorted(shards))}"
    of = splits[0]
    absent = sorted(set(range(1, min(of, runs) + 1)) - {number for number, _ in shards})
    if not absent:
        return f"each of the {of} shards has some"
    return f"no run is of shard{'s' if len(absent) > 1 else ''} {_ranges(absent)} of {of}"


def _ranges(numbers: Sequence[int]) -> str:
    """Spell sorted numbers, neighbours as a range."""
    parts = []
    for _, group in groupby(enumerate(numbers), key=lambda one: one[1] - one[0]):
        run = [number for _, number in group]
        parts.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ", ".join(parts)
