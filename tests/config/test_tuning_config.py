"""The key ``tune`` of a config: checked when it is read, and followed by ``compare``."""

import pytest
from factories import save
from tuned_study import LR, study

from actbench.analysis.compare import compare
from actbench.config import Study
from actbench.errors import ConfigError
from actbench.storage.reading import read_results


def test_the_stored_config_is_read_by_compare(tmp_path):
    root = save(tmp_path, study(seeds=2), text=f"study: demo\nsweep: {{{LR}: [0.1, 1]}}\ntune: [{LR}]\n")
    assert compare(read_results(root)).comparisons[1].tuned.factors == (LR,)


def test_a_broken_tune_in_a_stored_config_is_ignored_with_a_warning(tmp_path):
    found = compare(read_results(save(tmp_path, study(seeds=2), text="study: demo\ntune: lr\n")))
    assert len(found.comparisons) == 1
    assert any("tune is ignored" in text for text in found.warnings)


CONFIG = f"sweep: {{{LR}: [0.1, 1.0]}}\n"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (CONFIG + "tune: [training.batch_size]", "2:8", "'training.batch_size' is not swept, so there is nothing"),
        (CONFIG + "tune: [training.optimizer.l]", "2:8", f"there is nothing to tune — did you mean '{LR}'"),
        ("tune: [bias_init]", "1:8", "so there is nothing to tune — add it to 'sweep' (empty)"),
        (CONFIG + "tune: [lr]", "2:8", "unknown key 'lr'"),
        (CONFIG + f"tune: [{LR}, {LR}]", "2:31", "stands here twice"),
        (CONFIG + "tune: 3", "2:7", "'tune' should be a swept key or a list of them, not 3"),
        ("tune: [3]", "1:8", "a factor should be a dotted key of a run, not 3"),
        ("sweep: {activation: [relu, elu]}\ntune: [activation]", "2:8", "the activation is what is compared"),
        ("sweep: {model.hidden: [[3], [4]]}\ntune: [model.hidden]", "2:8", "stand in different tables"),
        (CONFIG + f"compare: {{baseline: {{{LR}: 0.1}}}}\ntune: [{LR}]", "3:8", "is held by 'compare.baseline'"),
    ],
)  # fmt: skip
def test_a_wrong_tune_is_told_at_its_place(text, place, message):
    with pytest.raises(ConfigError) as caught:
        Study.from_text(text, source="x.yaml")
    assert f"x.yaml:{place}: " in str(caught.value)
    assert message in str(caught.value)


def test_a_config_keeps_what_is_tuned():
    study = Study.from_text(CONFIG + f"tune: [{LR}]")
    assert study.tune == (LR,)
    assert study.smoke().tune == (LR,)
    assert Study.from_text(CONFIG, overrides=[f"tune={LR}"]).tune == (LR,)
