"""The list of changes that no test can notice: each is of code that is there, and has its reason."""

import json
from pathlib import Path

import pytest

ENTRIES = json.loads((Path(__file__).parent / "equivalent.json").read_text())
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_equivalent_change_is_of_code_that_is_there(entry):
    file, _, change = entry.partition(": ")
    source = " ".join(line.strip() for line in (ROOT / file).read_text().splitlines())
    parts = change.split(" -> ")  # also in the code itself, of functions
    before, after = next(
        (" -> ".join(parts[:cut]), " -> ".join(parts[cut:]))
        for cut in range(len(parts) - 1, 0, -1)
        if " -> ".join(parts[:cut]) in source
    )
    assert before != after
    assert ENTRIES[entry].strip()
