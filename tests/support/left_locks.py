"""Locks as other processes leave them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from actbench.system.processes import Process

DEAD = replace(Process.this(), started="1")
"""A process that bears this one's id and started at another time, so that it has ended."""


def leave(run: Path, process: Process, token: str = "0" * 16, name: str = "claim.json") -> Path:
    """Write a lock as this process would have left it."""
    run.mkdir(exist_ok=True)
    lock = {"token": token, "since": "2026-01-01T00:00:00+00:00", "process": vars(process)}
    (run / name).write_text(json.dumps(lock))
    return run / name
