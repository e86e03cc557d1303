"""How often a cohort is saved is said in the config, and is no setting of a run."""

from __future__ import annotations

import pytest

from actbench.config import Study
from actbench.errors import ConfigError
from actbench.schema.runtime import Cadence


@pytest.mark.parametrize(
    ("text", "cadence"),
    [
        ("3", Cadence(epochs=3)),
        ("10 min", Cadence(seconds=600)),
        ("30 s", Cadence(seconds=30)),
        ("1.5h", Cadence(seconds=5400)),
        ("null", Cadence()),
    ],
)
def test_how_often_is_said_in_epochs_or_time_and_changes_no_run(text: str, cadence: Cadence) -> None:
    plain = Study.from_text("study: s\ntraining: {epochs: 3}\n")
    study = Study.from_text(f"study: s\ntraining: {{epochs: 3, checkpoint_every: {text}}}\n")
    assert (plain.checkpoint_every, study.checkpoint_every) == (Cadence(seconds=600), cadence)
    assert study.specs() == plain.specs()
    assert Study.from_text(study.text).checkpoint_every == cadence
    assert study.smoke().checkpoint_every == cadence
    changed = Study.from_text("study: s\n", overrides=[f"training.checkpoint_every={text}"])
    assert changed.checkpoint_every == cadence
    assert Study.from_text(changed.text).checkpoint_every == cadence


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("training: {checkpoint_every: 0}", "1:30: 'checkpoint_every' should be a number of epochs"),
        ("training: {checkpoint_every: true}", "1:30: 'checkpoint_every' should be a number of epochs"),
        ("training: {checkpoint_every: often}", "1:30: 'checkpoint_every' should be a number of epochs"),
        ("training: {checkpoint_every: 0 s}", "1:30: 'checkpoint_every' should be a number of epochs"),
        (
            "training: {checkpoint_every: 3 minutes}",
            "1:30: unknown unit 'minutes' in '3 minutes' — choose from: s, min",
        ),
        ("training: {checkpiont_every: 3}", "1:12: unknown key 'checkpiont_every' — did you mean 'checkpoint_every'?"),
        ("sweep: {training.checkpoint_every: [1, 2]}", "not in the sweep"),
        ("sweep: {training: [{checkpoint_every: 1}, {epochs: 2}]}", "not in the sweep"),
    ],
)
def test_a_cadence_that_makes_no_sense_is_located(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_text(text)
    assert told in str(caught.value)
