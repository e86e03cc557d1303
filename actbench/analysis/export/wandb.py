"""Weights & Biases: an offline run each, which `wandb sync` uploads if you wish; nothing is sent by the export."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from actbench.analysis.export._runs import Exported, ExportedRun
from actbench.system.text import shell_command

COMPLETE = "actbench-complete"
"""A file in a run's folder with its study and digest, written last: without it an export was interrupted."""

_NOT_IN_PROJECTS = re.compile(r"[/\\#?%:]")


class WandB:
    """Writes with wandb in its offline mode: a project a study, an id from the run's content.

    A run that lies there with the same content is left as it is; one with another content is replaced.
    """

    package = "wandb"
    default = Path(".")

    def export(self, runs: Sequence[ExportedRun], target: Path) -> Exported:
        """Write ``TARGET/wandb/offline-run-…`` folders."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when it is imported: nothing is sent
        import wandb

        target.mkdir(parents=True, exist_ok=True)
        quiet = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_meta=True,  # of this machine, on which the run was perhaps not trained
            x_disable_stats=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        )
        written, there = 0, _present(target)
        try:
            for run in runs:
                if run.fingerprint in there.get(_identity(run), {}):
                    continue
                for old in there.get(_identity(run), {}).values():
                    shutil.rmtree(old)
                record = run.record
                with wandb.init(
                    mode="offline",
                    project=_NOT_IN_PROJECTS.sub("-", record.study)[:128],
                    id=run.fingerprint,
                    name=record.run_id,
                    group=record.spec.activation.label[:128],
                    tags=[record.outcome],
                    config=dict(run.settings),
                    dir=str(target),
                    settings=quiet,
                ) as tracked:
                    for epoch, numbers in run.epochs:
                        tracked.log(dict(numbers), step=epoch)
                    tracked.summary.update({**run.final, "outcome": record.outcome, "message": record.message})
                    tracked.finish(exit_code=int(record.outcome == "failed"))
                    folder = Path(tracked.settings.sync_dir)
                (folder / COMPLETE).write_text(_identity(run), "utf-8")
                written += 1
        finally:
            wandb.teardown()
        folder = target / "wandb"
        command = f"{shell_command(['wandb', 'sync', str(folder)])}/offline-run-*"
        return Exported(written, len(runs) - written, [folder], command)


def _identity(run: ExportedRun) -> str:
    return f"{run.record.study}\n{run.record.spec.digest}"


def _present(target: Path) -> dict[str, dict[str, Path]]:
    """Return the runs of earlier exports: identity -> fingerprint -> folder; remove what an interrupted one has left.

    A folder is an export's if its id has the form of a fingerprint: other runs of wandb have eight letters.
    """
    there: dict[str, dict[str, Path]] = {}
    for folder in (target / "wandb").glob("offline-run-*"):
        fingerprint = folder.name.rpartition("-")[2]
        if not re.fullmatch("[0-9a-f]{16}", fingerprint):
            continue
        if (folder / COMPLETE).exists():
            there.setdefault((folder / COMPLETE).read_text("utf-8"), {})[fingerprint] = folder
        else:
            shutil.rmtree(folder)
    return there


plugin = WandB()
