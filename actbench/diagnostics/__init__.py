"""Examine the tool itself.

``verification`` reproduces published numbers and closed forms (``actbench verify``), ``cost`` measures the time and
memory of activations (``actbench cost``), ``installation`` looks at this machine (``actbench doctor``).
"""
