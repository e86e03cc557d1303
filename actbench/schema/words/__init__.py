"""The words that outputs print, explained once: for ``actbench explain``, for docs/glossary.md and for the page.

Metrics, health measures and config keys carry texts of their own and are explained from those. To explain another
word, add a row to the table of its group; ``tests/cli/test_explain.py`` walks the outputs and names what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping

from actbench.schema.words.files import FIELDS, TOOLS
from actbench.schema.words.outcomes import OUTCOMES
from actbench.schema.words.runs import RUNS
from actbench.schema.words.statistics import STATISTICS
from actbench.schema.words.tables import TABLES
from actbench.schema.words.units import UNITS
from actbench.schema.words.word import Word

__all__ = ["GROUPS", "WORDS", "Word"]

GROUPS: Mapping[str, tuple[Word, ...]] = {
    "How a run ends": OUTCOMES,
    "Tables": TABLES,
    "Statistics": STATISTICS,
    "Hidden units": UNITS,
    "Studies and runs": RUNS,
    "Fields of JSON, CSV and files": FIELDS,
    "Cost, theory, activations": TOOLS,
}
"""Title -> words, in the order of the glossary."""

WORDS: Mapping[str, Word] = {word.name: word for words in GROUPS.values() for word in words}
