"""From stored runs to tables, differences, verdicts and judged hypotheses; reports only render the result.

``compare.py`` is the way in and names each step. Where to look for one of them:

- ``statistics/``: functions on numbers alone. Intervals of a mean (``intervals``), differences paired by seed
  (``paired``), adjusted p with Holm and sign-flip max-T (``multiplicity``, ``westfall_young``), interaction, power;
  seeds by two stages (``two_stage``), looks at a growing study (``anytime``), the chance on a new seed (``chance``).
- ``table/``: runs -> groups -> rows, each against the baseline (``grouping``, ``rows``, ``contrasts``, ``result``).
- ``judgements/``: a table in words (``verdicts``, ``expectations``, ``gates``, ``warnings``, ``limits`` …).
- ``reports/``: one file per format; cells and columns are built once (``_cells``, ``_columns``).
- ``sequential.py`` adds seeds until intervals are narrow; ``run_diff.py`` sets two runs side by side.
"""
