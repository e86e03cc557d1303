"""Folders that hold one shard of a study alone: the command that goes on there is about that shard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from actbench.errors import ActbenchError
from actbench.system.packed import listing

if TYPE_CHECKING:
    from actbench.storage.status import StudyStatus


def with_shards(found: Sequence[StudyStatus]) -> Sequence[StudyStatus]:
    """Name the shard in the commands that go on, where a folder holds the runs of one shard and no others.

    Which shard that may be is known from the command that trained one of the runs. Where other runs lie beside it,
    since folders were copied together or a later command trained more, the study is one again.

    Args:
        found: The states of studies; their commands are changed in place.
    """
    for one in found:
        if one.shard:
            _complete(one)
    return found


def _complete(status: StudyStatus) -> None:
    from actbench.config import Study
    from actbench.execution.shards import Shard

    try:
        own = Shard.parse(status.shard).part_of(Study.from_yaml(status.folder / "study.yaml").specs())
        begun = {name.rpartition("-")[2] for name in listing(status.folder / "runs")}
    except (ActbenchError, OSError):  # a record may hold any text, and the folder may change
        status.shard = ""
        return
    if not begun <= {spec.digest[:8] for spec in own}:
        status.shard = ""
    elif status.resume and sum(status.done.values()) < len(own):
        status.resume += ["--shard", status.shard]
