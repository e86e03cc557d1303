"""A run: its spec, how it is computed, its record and its metrics. No training, no files, no torch."""
