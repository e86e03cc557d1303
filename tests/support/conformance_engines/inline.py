"""``--engine inline``: the process of the command computes by itself."""

from __future__ import annotations

from collections.abc import Sequence

from conformance_engines import EngineUnderTest, Promises


class Inline(EngineUnderTest):
    name = engine = "inline"
    promises = Promises(has_workers=False, ends_hanging_runs=False)

    def options(self, jobs: int) -> Sequence[str]:
        return ("--engine", self.engine)  # it refuses --jobs: there is one process


described = Inline()
