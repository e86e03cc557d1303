"""The published values that are held against ours are those that the configs expect, each with its source."""

from __future__ import annotations

import pytest

from actbench.config import Study
from actbench.config.hypotheses import Bound, parse_expectation
from actbench.config.overrides import parse_settings
from actbench.config.shipped import shipped
from benchmarks.claims.published import PUBLISHED, Published

CONFIGS = [name for name in shipped() if name.startswith("published/")]


def expected(config: str) -> set[tuple[str, str, str]]:
    """The expectations of a config about one cell, each as metric, cell and relation."""
    bounds = [one for one in map(parse_expectation, Study.from_yaml(config).expect) if isinstance(one, Bound)]
    return {(one.metric, str(one.where), one.operator) for one in bounds}


@pytest.mark.parametrize("config", CONFIGS)
def test_each_published_value_is_expected_and_no_other(config: str) -> None:
    stated = [one for one in PUBLISHED if one.study == config]

    assert stated
    assert {(one.metric, str(parse_settings([one.cell])), one.relation) for one in stated} == expected(config)


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: f"{one.study} {one.cell} {one.metric}")
def test_a_config_expects_the_published_value_to_its_last_digit(one: Published) -> None:
    bounds = [parse_expectation(text) for text in Study.from_yaml(one.study).expect if one.cell in text]
    (found,) = [bound.number for bound in bounds if isinstance(bound, Bound) and bound.metric == one.metric]

    assert found == pytest.approx(one.value, abs=5e-5)  # the hundredth of a percent that is printed
    assert one.source
