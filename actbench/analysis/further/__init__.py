"""Tables of another kind than the comparison's: published figures, rows across datasets, sources of variance.

Each file computes one kind from runs or a file, and returns a ``FurtherTable``, which knows the formats.
"""
