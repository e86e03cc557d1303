"""Measurements of actbench: its speed against its peers, its costs, and the error rates of its statistics."""
