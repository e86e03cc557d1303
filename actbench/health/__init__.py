"""Measure whether hidden units are alive: on a fixed probe of training inputs, by rules that can be told apart.

- ``units``: the units of a cohort in training. **A new health measure goes here**: a row in
  ``actbench/schema/health_measures.py`` and its function in ``units/measures.py``.
- ``modules``: the same measures on any ``nn.Module``, seen through its forward pass (``actbench.measure_health``).
- ``theory``: closed forms and mean-field theory, the expectations of a network before it is trained.
"""
