"""Which networks are kept is said in the config, and is no setting of a run."""

from __future__ import annotations

import pytest

from actbench.config import Study
from actbench.errors import ConfigError


@pytest.mark.parametrize("keep", ["last", "best", "all", None])
def test_it_changes_no_run_and_survives_text_smoke_and_overrides(keep: str | None) -> None:
    text = "null" if keep is None else keep
    plain = Study.from_text("study: s\ntraining: {epochs: 3}\n")
    study = Study.from_text(f"study: s\ntraining: {{epochs: 3, keep_weights: {text}}}\n")
    assert (plain.keep_weights, study.keep_weights) == (None, keep)
    assert [one.digest for one in study.specs()] == [one.digest for one in plain.specs()]
    assert Study.from_text(study.text).keep_weights == keep
    assert study.smoke().keep_weights == keep
    changed = Study.from_text("study: s\n", overrides=[f"training.keep_weights={text}"])
    assert changed.keep_weights == keep
    assert Study.from_text(changed.text).keep_weights == keep
    assert Study(study="s", training={"keep_weights": keep}).keep_weights == keep


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("training: {keep_weights: lst}", "'keep_weights' should be last, best, all or null, not 'lst' — did you mean"),
        ("training: {keep_weights: true}", "not true — leave it out to keep none"),
        ("training: {keep_weights: [last]}", "'keep_weights' should be last, best, all or null"),
        ("training: {keep_wieghts: last}", "unknown key 'keep_wieghts' — did you mean 'keep_weights'?"),
        ("keep_weights: last", "training"),
        ("sweep: {training.keep_weights: [last, all]}", "not in the sweep"),
        ("sweep: {training: [{keep_weights: last}, {epochs: 2}]}", "not in the sweep"),
    ],
)
def test_a_choice_that_makes_no_sense_is_located(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_text(text)
    assert told in str(caught.value)
