"""Which runs train together and in which order: balanced over seeds, the longest first, no worker left idle."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import pytest

from actbench.execution.cohorts import GPU_COHORT, plan_cohorts, schedule
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec

ACTIVATIONS = ["relu", "tanh", "elu", "gelu", "prelu", "selu", "silu", "leaky_relu", "sigmoid", "softplus", "relu6"]


def runs(activations: int, seeds: int, **settings: object) -> list[RunSpec]:
    """A study's runs in its order: seeds outermost."""
    return [
        RunSpec.model_validate({"activation": name, "seed": seed, **settings})
        for seed in range(seeds)
        for name in ACTIVATIONS[:activations]
    ]


def by_run(specs: Sequence[RunSpec]) -> float:
    """Every run costs the same, alone or in company."""
    return float(len(specs))


def sizes(found: Sequence[Cohort]) -> list[int]:
    return [len(cohort.specs) for cohort in found]


def ends(found: Sequence[Cohort], jobs: int) -> list[float]:
    """When each worker is done, by playing it through: the first that is free takes the next cohort."""
    free = [(0.0, worker) for worker in range(jobs)]
    for cohort in found:
        at, worker = heapq.heappop(free)
        heapq.heappush(free, (at + by_run(cohort.specs), worker))
    return sorted(at for at, _ in free)


@pytest.mark.parametrize("jobs", [1, 2, 3, 4, 7, 16, 64])
@pytest.mark.parametrize(("activations", "seeds"), [(1, 1), (5, 3), (8, 3), (6, 4), (11, 2), (11, 9)])
def test_every_run_is_planned_once(activations: int, seeds: int, jobs: int) -> None:
    specs = runs(activations, seeds)
    found = plan_cohorts(specs, device="cpu", jobs=jobs)
    assert sorted(spec.run_id for cohort in found for spec in cohort.specs) == sorted(spec.run_id for spec in specs)
    assert all(len({spec.seed for spec in cohort.specs}) == 1 for cohort in found)


@pytest.mark.parametrize("jobs", [2, 3, 4, 6, 8, 12])
@pytest.mark.parametrize(("activations", "seeds"), [(8, 3), (6, 4), (4, 6), (5, 3), (7, 3), (11, 3), (10, 10), (3, 1)])
def test_all_workers_end_within_one_run_and_an_eighth_of_each_other(activations: int, seeds: int, jobs: int) -> None:
    """No plan ends before the runs that one worker has to do: the share of each, rounded up to whole runs."""
    done = ends(plan_cohorts(runs(activations, seeds), device="cpu", jobs=jobs, weigh=by_run), jobs)
    earliest = -(-activations * seeds // jobs)
    assert done[-1] <= max(earliest + 1, earliest * 1.125)


@pytest.mark.parametrize("jobs", [2, 4])
@pytest.mark.parametrize(("activations", "seeds"), [(8, 3), (6, 4), (4, 6)])
def test_24_runs_leave_2_or_4_workers_no_idle_time(activations: int, seeds: int, jobs: int) -> None:
    done = ends(plan_cohorts(runs(activations, seeds), device="cpu", jobs=jobs, weigh=by_run), jobs)
    assert done == [24 / jobs] * jobs


def test_cohorts_stay_whole_where_that_leaves_nobody_idle() -> None:
    assert sizes(plan_cohorts(runs(6, 4), device="cpu", jobs=2, weigh=by_run)) == [6, 6, 6, 6]
    assert sizes(plan_cohorts(runs(6, 4), device="cpu", jobs=1, weigh=by_run)) == [6, 6, 6, 6]


def test_only_the_end_of_a_study_is_cut_finer() -> None:
    """Five runs and three seeds for two workers: the third seed is shared between them."""
    assert sizes(plan_cohorts(runs(5, 3), device="cpu", jobs=2, weigh=by_run)) == [5, 5, 3, 2]


def test_a_cohort_is_not_cut_when_its_parts_cost_as_much() -> None:
    """On a machine where company is free, two halves take as long as the whole."""
    found = plan_cohorts(runs(6, 1), device="cpu", jobs=2, weigh=lambda specs: 1.0)
    assert sizes(found) == [6]


def test_seeds_stay_outermost_so_that_half_a_study_is_a_balanced_comparison() -> None:
    found = plan_cohorts(runs(11, 20), device="cpu", jobs=4)
    seeds = [cohort.shared.seed for cohort in found]
    assert seeds == sorted(seeds)


def test_within_a_seed_the_longest_cohorts_come_first() -> None:
    short, long = ({"training": {"epochs": epochs}} for epochs in (1, 30))
    specs = [*runs(4, 1, **short), *runs(4, 1, **long)]
    found = plan_cohorts(specs, device="cpu", jobs=1)
    assert [cohort.shared.training.epochs for cohort in found] == [30, 1]


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ({"dataset": "digits"}, {"dataset": "mnist"}),
        ({"dataset": {"name": "mnist", "train_size": 1000}}, {"dataset": "mnist"}),
        ({"model": {"name": "mlp", "hidden": [16]}}, {"model": {"name": "mlp", "hidden": [512, 512]}}),
        ({"model": "mlp"}, {"model": "cnn"}),
        ({"training": {"batch_size": 1024}}, {"training": {"batch_size": 8}}),
    ],
)
def test_settings_alone_tell_which_of_two_studies_is_longer(small: dict[str, object], large: dict[str, object]) -> None:
    found = plan_cohorts([*runs(1, 1, **small), *runs(1, 1, **large)], device="cpu", jobs=1)
    assert found[0].shared.digest == runs(1, 1, **large)[0].digest


def test_equally_long_cohorts_keep_the_order_given() -> None:
    rates = [0.3, 0.1, 0.2]
    specs = [spec for rate in rates for spec in runs(2, 1, training={"optimizer": {"name": "sgd", "lr": rate}})]
    found = plan_cohorts(specs, device="cpu", jobs=1)
    assert [cohort.shared.training.optimizer.options["lr"] for cohort in found] == rates


def test_measured_times_decide_the_order_when_there_are_any() -> None:
    slow = {"elu": 5.0, "tanh": 3.0}
    found = plan_cohorts(
        runs(4, 1), device="cpu", jobs=1, limit=1, weigh=lambda specs: slow.get(specs[0].activation.name, 1.0)
    )
    assert [cohort.shared.activation.name for cohort in found] == ["elu", "tanh", "relu", "gelu"]


def test_the_last_round_mixes_seeds_when_that_ends_the_study_earlier() -> None:
    """Runs that can't be cut, with the longest in the last seed, would leave the other worker idle in that order."""
    cost = {(0, "relu"): 2.0, (0, "tanh"): 2.0, (0, "elu"): 2.0, (1, "relu"): 6.0}
    specs = [RunSpec.model_validate({"activation": name, "seed": seed}) for seed, name in cost]
    found = plan_cohorts(
        specs, device="cpu", jobs=2, limit=1, weigh=lambda runs: cost[runs[0].seed, runs[0].activation.name]
    )
    assert schedule([cost[c.shared.seed, c.shared.activation.name] for c in found], [0.0, 0.0])[-1] == 6


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_limit_bounds_every_cohort(limit: int) -> None:
    assert max(sizes(plan_cohorts(runs(7, 2), device="cpu", jobs=2, limit=limit))) <= limit
    with pytest.raises(ValueError, match="at least one run"):
        plan_cohorts(runs(1, 1), device="cpu", jobs=1, limit=0)


def test_a_users_own_model_trains_alone() -> None:
    own = {"model": {"name": "mine", "path": "user_parts:Net"}}
    assert sizes(plan_cohorts(runs(3, 1, **own), device="cpu", jobs=1, limit=8)) == [1, 1, 1]


def test_where_launches_dominate_seeds_train_together() -> None:
    found = plan_cohorts(runs(10, 13), device="cuda", jobs=1)
    assert len(found) == 3
    assert max(sizes(found)) <= GPU_COHORT
    assert len({spec.seed for spec in found[0].specs}) > 1


def test_nothing_to_do_is_no_cohort() -> None:
    assert plan_cohorts([], device="cpu", jobs=4) == []


def test_the_schedule_is_that_of_workers_who_take_the_next_cohort_when_free() -> None:
    assert schedule([4, 1, 1, 1, 1, 4], [0, 0]) == [4, 8]
    assert schedule([4, 4, 1, 1, 1, 1], [0, 0]) == [6, 6]
    assert schedule([1], [5, 2]) == [3, 5]
    assert schedule([], [0, 7]) == [0, 7]
