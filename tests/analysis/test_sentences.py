"""Every sentence of a comparison, of hundreds of generated studies, held to the table that it is about."""

import pytest
from generated_studies import generated
from sentence_oracle import Runs, check_caption, check_verdicts, check_warnings

from actbench.analysis.compare import compare
from actbench.analysis.reports._sentences import caption
from actbench.errors import UsageError

STUDIES, BATCH = 400, 20


@pytest.mark.parametrize("start", range(0, STUDIES, BATCH))
def test_every_sentence_says_what_the_table_says(start):
    for seed in range(start, start + BATCH):
        study = generated(seed)
        try:
            found = compare(study.records, **study.options)
        except UsageError:  # such as a baseline that lost all its runs
            continue
        report = found.to_dict()
        (comparison,) = report["comparisons"]
        runs, metrics, options = Runs(study.records, comparison), study.options["metric"], study.options
        check_verdicts(comparison, runs, metrics[0], options)
        check_warnings(report, comparison, runs, study.records, metrics, options)
        check_caption(caption(found.comparisons[0]), comparison, runs, metrics, options)
