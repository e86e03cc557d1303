"""YAML text -> a checked ``Study`` -> the specs of its runs; every problem at once, with file, line and column.

``nodes`` reads the text, ``overrides`` puts the arguments in, ``checking`` checks the content and every combination of
the sweep, ``study`` holds the result.
"""

from __future__ import annotations

from actbench.config.design import Compare, TwoStage
from actbench.config.study import Study

__all__ = ["Compare", "Study", "TwoStage"]
