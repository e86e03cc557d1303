"""Give back the network of a finished run, from the weights that are stored beside its results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from actbench.errors import ResultsError, UsageError
from actbench.schema import registry
from actbench.schema.record import RunRecord
from actbench.schema.spec import RunSpec
from actbench.storage.run_folders import find_folder, study_of
from actbench.storage.store import weight_files
from actbench.system.files import read_file, read_json

if TYPE_CHECKING:
    from torch import nn

BUILD = "actbench.training.kept_weights:network_of"


def load_network(
    run: RunRecord | Path | str, *, results: Path | str = "results", epoch: int | None = None
) -> nn.Module:
    """Return a run's trained network as a plain ``nn.Module`` in evaluation mode.

    The run must have been trained with ``training.keep_weights: last``, ``best`` or ``all``. ``measure_health`` of the
    network, on the images of the run's probe, finds what the run's record says of that epoch. A run of your own
    ``nn.Module`` gives back that module; its code is imported as in training.

    Args:
        run: A record, a run folder's path, a run id, its first letters, or the eight digits it ends with.
        results: The results folder to search.
        epoch: After which epoch, 0 being the untrained network; None for the only one that was kept, or of several the
            one that the run's record reports.

    Raises:
        UsageError: When there is no such run, or it kept no weights of that epoch, or they can't be used.
        ResultsError: When its files can't be read.
    """
    folder = _folder_of(run, Path(results))
    name = f"{study_of(folder)}/runs/{folder.name}"
    try:
        found = weight_files(folder)
        if not found:
            raise UsageError(
                f"run {name} kept no weights: set training.keep_weights to last, best or all in its config, and train "
                "it again with --force"
            )
        chosen = _reported(folder, found) if epoch is None else epoch
        if chosen not in found:
            kept = ", ".join(map(str, found))
            raise UsageError(f"run {name} kept no weights of epoch {chosen}; there are those of: {kept}")
        spec = RunSpec.model_validate(read_json(folder / "spec.json"))
        content = read_file(found[chosen])
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise ResultsError(f"can't read run {name}: {getattr(error, 'strerror', None) or error}") from error
    network: nn.Module = registry.import_object(BUILD)(spec, content, f"{name}/{found[chosen].name}")
    return network


def _reported(folder: Path, found: Mapping[int, Path]) -> int:
    """Return the epoch that validation has selected, if its network is there, else the last one of all."""
    path = folder / "result.json"
    content = read_json(path) if path.is_file() else None
    final = content.get("final") if isinstance(content, Mapping) else None
    selected = final.get("selected_epoch") if isinstance(final, Mapping) else None
    return next((epoch for epoch in found if epoch == selected), max(found))


def _folder_of(run: RunRecord | Path | str, results: Path) -> Path:
    if isinstance(run, RunRecord):
        own = results / run.study / "runs" / run.run_id
        return own if run.folder and own.is_dir() else find_folder(results, run.run_id)
    return find_folder(results, str(run))
