"""A study is split alike on every machine: whole seeds first, equal work, nothing twice and nothing left out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from actbench.config import Study
from actbench.errors import UsageError
from actbench.execution.cohorts import plan_cohorts, weigh_by_settings
from actbench.execution.shards import MAX_SHARDS, NEAR, Shard, count, split
from actbench.schema.spec import RunSpec

COUNTS = [1, 2, 3, 5, 7, 8, 30, 97]

STUDIES = {
    "one cohort a seed": "seeds: 8\nsweep: {activation: [relu, tanh, gelu], bias_init: [0, 0.01, 0.1, 0.2]}",
    "several cohorts a seed": "seeds: 4\nsweep: {activation: [relu, tanh, elu], training.optimizer.lr: [0.1, 0.3], "
    "model: [{name: mlp, hidden: [16]}, {name: mlp, hidden: [512, 512]}]}",
    "one seed": "seeds: 1\nsweep: {activation: [relu, tanh, elu, swiglu], training.epochs: [1, 2, 40]}",
    "seeds of one's own": "seeds: [7, 3, 11]\nsweep: {activation: [relu, tanh]}",
    "a convolution": "model: cnn\nseeds: 5\nsweep: {activation: [relu, tanh, elu], training.batch_size: [32, 64]}",
    "one run": "seeds: 1",
}


@pytest.fixture(params=list(STUDIES))
def study(request: pytest.FixtureRequest) -> Study:
    return Study.from_text(f"study: split\ndataset: digits\n{STUDIES[request.param]}\n")


def cost(specs: Sequence[RunSpec]) -> float:
    """The work of one worker that trains these runs."""
    return sum(weigh_by_settings(cohort.specs) for cohort in plan_cohorts(specs, device="cpu", jobs=1))


@pytest.mark.parametrize("shards", COUNTS)
def test_every_run_is_in_one_shard_and_in_the_studys_order(study: Study, shards: int) -> None:
    specs = study.specs()
    found = split(specs, shards)
    assert len(found) == shards
    assert sorted(spec.digest for part in found for spec in part) == sorted(spec.digest for spec in specs)
    places = {spec.digest: place for place, spec in enumerate(specs)}
    for part in found:
        order = [places[spec.digest] for spec in part]
        assert order == sorted(order)
    assert found == [Shard(number, shards).part_of(specs) for number in range(1, shards + 1)]


@pytest.mark.parametrize("shards", COUNTS)
def test_as_many_seeds_as_go_round_are_whole_and_dealt_out_in_turn(study: Study, shards: int) -> None:
    specs, seeds = study.specs(), study.seeds
    cells = len(specs) // len(seeds)
    found = split(specs, shards)
    for place, seed in enumerate(seeds[: len(seeds) // shards * shards]):
        held = [spec for spec in found[place % shards] if spec.seed == seed]
        assert len(held) == cells, f"seed {seed} belongs to shard {place % shards + 1} as a whole"


@pytest.mark.parametrize("shards", COUNTS)
def test_no_shard_has_more_work_than_its_share_the_dearest_run_and_the_way_to_a_cohorts_end(
    study: Study, shards: int
) -> None:
    """A cut lies within half a run of the ideal one, or within 1/NEAR of a share where a cohort ends; each part has two
    cuts. The cost of a cut cohort's second part is what the allowance of 2 % is for."""
    specs = study.specs()
    dearest = max(cost([spec]) for spec in specs)
    share = cost(specs) / shards
    for part in split(specs, shards):
        if part:
            assert cost(part) <= 1.02 * (share * (1 + 2 / NEAR) + dearest)


def test_equal_runs_are_shared_out_to_within_one() -> None:
    for runs in range(1, 30):
        specs = [RunSpec(seed=0, bias_init=number / 100) for number in range(runs)]
        for shards in range(1, 40):
            sizes = [len(part) for part in split(specs, shards)]
            assert max(sizes) - min(sizes) <= 1, (runs, shards, sizes)
            assert sizes[runs:] == [0] * max(0, shards - runs), "empty shards are the last"


def test_a_cut_is_moved_to_a_cohorts_end_that_is_near() -> None:
    """Two cohorts of 14 and 15 runs: two shards get one each, though 14.5 would be the middle."""
    lrs = [0.1] * 14 + [0.2] * 15
    specs = [
        RunSpec(bias_init=number / 100, training={"optimizer": {"name": "sgd", "lr": lr}})
        for number, lr in enumerate(lrs)
    ]
    for part in split(specs, 2):
        assert len({spec.cohort_key for spec in part}) == 1


def test_seeds_that_were_dealt_out_keep_their_shard_when_there_are_more() -> None:
    few, many = (
        split(Study.from_text(f"study: s\nseeds: {seeds}\nsweep: {{activation: [relu, tanh]}}\n").specs(), 3)
        for seeds in (6, 14)
    )
    for before, after in zip(few, many, strict=True):
        assert set(before) <= set(after)


def test_another_process_splits_alike() -> None:
    """Also with hashes of texts drawn anew, which orders of sets depend on."""
    program = (
        "from actbench.config import Study; from actbench.execution.shards import split; import hashlib;"
        "s = Study.from_text('study: s\\nseeds: 5\\nsweep: {activation: [relu, tanh, gelu, swiglu], "
        "training.optimizer.lr: [0.1, 0.2]}\\n');"
        "print([[spec.digest for spec in part] for part in split(s.specs(), 7)])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(["", *sys.path])},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def test_the_split_of_a_study_does_not_change() -> None:
    """Machines with this version and with the next have to agree, or a study loses runs: a changed rule is a new
    release, named in the CHANGELOG."""
    study = Study.from_text(
        "study: s\ndataset: digits\nseeds: 3\nsweep: {activation: [relu, tanh, gelu], bias_init: [0, 0.1]}\n"
    )
    found = [[spec.id_with(study.factors) for spec in part] for part in split(study.specs(), 2)]
    names = [[f"{name[: name.index('-seed')]}/{name.split('-')[-2]}" for name in part] for part in found]
    first = ["gelu-bias-0.0", "gelu-bias-0.1", "relu-bias-0.0"]
    second = ["relu-bias-0.1", "tanh-bias-0.0", "tanh-bias-0.1"]
    assert [sorted(name for name in part if name.endswith("/2")) for part in names] == [
        [f"{name}/2" for name in first],
        [f"{name}/2" for name in second],
    ]
    assert [{name[-1] for name in part} for part in names] == [{"0", "2"}, {"1", "2"}]


REFUSED = {
    "0/3": "I goes from 1 to N, so here from 1/3 to 3/3; a job array that begins at 0 has to begin at 1",
    "4/3": "I goes from 1 to N, so here from 1/3 to 3/3",
    "a/b": "two whole numbers",
    "1.5/3": "two whole numbers",
    "-1/3": "two whole numbers",
    "1/3/5": "two whole numbers",
    " 1/3": "two whole numbers",
    "٣/5": "two whole numbers",
    "": "two whole numbers",
    "3": "which of them? write I/N, such as 1/3",
    "/": "is a variable in it not set?",
    "/3": "is a variable in it not set?",
    "3/": "is a variable in it not set?",
    "1/3\n": "two whole numbers",
    "1/0": "1 to 100,000 shards, not 0",
    f"1/{MAX_SHARDS + 1}": "1 to 100,000 shards, not 100001",
    f"1/{'9' * 5000}": "1 to 100,000 shards, not 9999999999 … [5,000 characters in all] … 9999999999",
    f"{'9' * 5000}/3": "I goes from 1 to N",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:12])
def test_what_names_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as error:
        Shard.parse(text)
    assert REFUSED[text] in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_leading_zeros_and_the_largest_number_are_read() -> None:
    assert Shard.parse("007/030") == Shard(7, 30)
    assert Shard.parse(f"{MAX_SHARDS}/{MAX_SHARDS}") == Shard(MAX_SHARDS, MAX_SHARDS)
    assert str(Shard.parse("02/05")) == "2/5"
    with pytest.raises(UsageError, match="how many shards, such as 5, or I/N"):
        count("many")
