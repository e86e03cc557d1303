"""TensorBoard: a folder of event files a run, with scalars by epoch and the settings for its HParams page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from actbench.analysis.export._runs import Exported, ExportedRun
from actbench.analysis.table.factors import show
from actbench.system.files import write_atomically
from actbench.system.text import shell_command


class TensorBoard:
    """Writes with TensorBoard's own writer, without torch or TensorFlow.

    A run's file has one name and, for one result, one content, so that a second export replaces the first.
    """

    package = "tensorboard"
    default = Path("tensorboard")

    def export(self, runs: Sequence[ExportedRun], target: Path) -> Exported:
        """Write ``TARGET/<study>/<run>/events.out.tfevents…``; TensorBoard keeps numbers as float32."""
        from tensorboard.summary.writer.record_writer import RecordWriter

        written = 0
        for run in runs:
            stream = io.BytesIO()
            writer = RecordWriter(stream)
            for event in _events(run):
                writer.write(event.SerializeToString())
            folder = target / run.record.study / run.record.run_id
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"events.out.tfevents.0.actbench.{run.record.spec.digest[:8]}"
            content = stream.getvalue()
            if not (path.exists() and path.read_bytes() == content):
                write_atomically(path, content)
                written += 1
        return Exported(written, len(runs) - written, [target], shell_command(["tensorboard", "--logdir", str(target)]))


def tag(name: str) -> str:
    """Return a metric's name as TensorBoard groups it: what stands before a slash is the name of a group.

    >>> tag("test.accuracy"), tag("layers/hidden.0/dead")
    ('test/accuracy', 'layers/hidden.0/dead')
    """
    return name if "/" in name else re.sub(r"\.", "/", name, count=1)


def _events(run: ExportedRun) -> Iterator[Any]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    times = run.times()
    start = times[0] if times else run.ended or 0.0
    yield Event(wall_time=start, file_version="brain.Event:2")
    settings = {key: show(value) if value is None else value for key, value in run.varied.items()}
    yield Event(wall_time=start, summary=hparams_pb(settings, trial_id=run.record.run_id, start_time_secs=start))
    for (epoch, numbers), time in zip(run.epochs, times, strict=True):
        yield _scalars(numbers, epoch, time)
    last = run.epochs[-1][1] if run.epochs else {}
    others = {name: value for name, value in run.final.items() if name not in last}
    if others:
        yield _scalars(others, run.last_epoch, times[-1] if times else start)


def _scalars(numbers: Any, epoch: int, time: float) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    values = [Summary.Value(tag=tag(name), simple_value=value) for name, value in numbers.items()]
    return Event(wall_time=time, step=epoch, summary=Summary(value=values))


plugin = TensorBoard()
