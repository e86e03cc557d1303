"""actbench compares neural-network activations and initialisations; this is its public Python API."""

from __future__ import annotations

__version__ = "0.1.0"
