"""Scaling: the simulation against closed forms and an independent schedule, its figures, and the page of both.

What was measured is not measured again here; that the committed figures are reproduced by the simulation is.
"""

from __future__ import annotations

import doctest
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from factories import record

from actbench.execution.cohorts import schedule
from actbench.storage.reading import read_results
from benchmarks.scaling import measure, page, simulation, studies
from benchmarks.scaling.__main__ import PAGE, figures, main
from benchmarks.scaling.emulated import BEGIN, FINISH, HAND_OUT, ROW
from benchmarks.scaling.simulation import Cluster, Cost, Driver, FileSystem, Setting, Work, bottleneck, simulate

TOLERANCE = 0.2
"""By which the simulation may miss a measured time; the largest miss of the committed figures is 16 %."""


@pytest.fixture(scope="module")
def committed() -> tuple[dict[str, Any], dict[str, Any]]:
    return figures()


@pytest.mark.parametrize("module", [simulation, page, measure])
def test_the_examples_of_docstrings_hold(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


# Closed forms


@pytest.mark.parametrize("workers", [1, 4, 10, 100])
def test_without_overheads_a_study_takes_its_work_over_its_workers(workers: int) -> None:
    outcome = simulate(Setting(Work(1000, 10, 3, 7.0), Cluster(workers)))
    assert outcome.seconds == pytest.approx(100 * 7.0 / workers)
    assert outcome.busy == 0


def test_cohorts_that_do_not_come_out_even_take_a_whole_round_more() -> None:
    assert simulate(Setting(Work(110, 10, 1, 2.0), Cluster(10))).seconds == pytest.approx(4.0)
    assert simulate(Setting(Work(15, 10, 1, 2.0), Cluster(1))).seconds == pytest.approx(3.0), "the last has 5 runs"


def test_one_worker_takes_the_sum_of_what_a_command_does() -> None:
    driver = Driver(
        command=1.0,
        plan_run=0.01,
        hand_out=Cost(0.002),
        cohort=Cost(0.1),
        finish=Cost(0.03, reads=2, writes=4),
        end=Cost(0.001),
    )
    files = FileSystem(read=0.001, write=0.005)
    outcome = simulate(Setting(Work(100, 10, 0, 3.0), Cluster(1, start=2.0), driver, files))
    finish = 0.03 + 2 * 0.001 + 4 * 0.005
    assert outcome.seconds == pytest.approx(1 + 100 * 0.01 + 2 + 10 * (3 + 0.1 + 10 * (0.002 + finish)) + 100 * 0.001)


def test_without_a_worker_process_rows_are_stored_while_nothing_trains() -> None:
    driver = Driver(begin=Cost(0.1), row=Cost(0.01))
    work = Work(20, 10, 4, 3.0)
    alone = simulate(Setting(work, Cluster(1, inline=True), driver)).seconds
    assert alone == pytest.approx(2 * (3 + 10 * (0.1 + 5 * 0.01)))
    assert simulate(Setting(work, Cluster(1), driver)).seconds < alone


def test_a_driver_that_can_not_keep_up_takes_as_long_as_its_own_work() -> None:
    driver = Driver(hand_out=Cost(0.01), finish=Cost(0.02))
    outcome = simulate(Setting(Work(1000, 1, 0, 0.1), Cluster(500), driver))
    assert outcome.seconds == pytest.approx(1000 * 0.03, rel=0.01)
    assert outcome.busy == pytest.approx(1, rel=0.01)


def test_drivers_of_their_own_wait_for_a_disk_side_by_side_until_it_can_not_serve_them() -> None:
    driver, work = Driver(finish=Cost(0, writes=10)), Work(1000, 1, 0, 0.0)
    one = simulate(Setting(work, Cluster(10), driver, FileSystem(write=0.01)))
    ten = simulate(Setting(work, Cluster(10, drivers=10), driver, FileSystem(write=0.01)))
    full = simulate(Setting(work, Cluster(10, drivers=10), driver, FileSystem(write=0.01, requests=500)))
    assert one.seconds == pytest.approx(1000 * 10 * 0.01)
    assert ten.seconds == pytest.approx(one.seconds / 10)
    assert full.seconds == pytest.approx(1000 * 10 / 500, rel=0.02)
    assert one.requests == ten.requests == full.requests == 10_000


def test_a_second_cohort_on_its_way_spares_the_wait_for_the_driver() -> None:
    driver = Driver(cohort=Cost(0.5))
    waits = simulate(Setting(Work(40, 1, 0, 2.0), Cluster(2), driver))
    spares = simulate(Setting(Work(40, 1, 0, 2.0), Cluster(2, in_flight=2), driver))
    assert waits.seconds == pytest.approx(20 * 2.5, rel=0.02)
    assert spares.seconds == pytest.approx(20 * 2.0 + 1.0, rel=0.02)


@pytest.mark.parametrize(("tree", "transfers"), [(True, 7), (False, 99)])
def test_a_dataset_reaches_a_hundred_machines_in_seven_steps_or_one_after_the_other(tree: bool, transfers: int) -> None:
    work = Work(100, 1, 0, 1000.0, dataset=1e9)
    outcome = simulate(Setting(work, Cluster(100, bandwidth=1e9, tree=tree)))
    assert outcome.latest == pytest.approx(transfers)
    assert transfers == (math.ceil(math.log2(100)) if tree else 100 - 1)


def test_jobs_read_a_dataset_as_fast_as_their_file_system_delivers_it_in_all() -> None:
    work = Work(100, 1, 0, 1000.0, dataset=1e9)
    outcome = simulate(Setting(work, Cluster(100, drivers=100, bandwidth=1e9), files=FileSystem(bandwidth=5e9)))
    assert outcome.latest == pytest.approx(20)


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_unequal_cohorts_end_as_an_independent_schedule_of_them_does(workers: int) -> None:
    setting = Setting(Work(60, 2, 1, 5.0, ratios=(0.5, 1.0, 1.4, 3.0)), Cluster(workers), seed=3)
    times = [seconds for _, seconds in simulation.Simulation(setting)._waiting[0]]
    assert len(set(times)) > 1
    assert simulate(setting).seconds == pytest.approx(schedule(times, [0.0] * workers)[-1])


def test_lost_machines_repeat_work_and_lose_no_run() -> None:
    work, cluster = Work(400, 4, 2, 60.0), Cluster(20, node=4, losses=6.0, notice=5, replacement=30)
    outcome = simulate(Setting(work, cluster, seed=1))
    assert outcome.lost >= 3
    assert outcome.repeated > 0
    assert outcome.seconds > work.total / 20
    assert outcome.seconds * 20 >= work.total + outcome.repeated
    assert outcome == simulate(Setting(work, cluster, seed=1))
    assert outcome != simulate(Setting(work, cluster, seed=2))


HELD_UP: dict[str, Setting] = {
    simulation.DRIVER: Setting(Work(1000, 1, 0, 1.0), Cluster(100), Driver(finish=Cost(0.1))),
    simulation.DISK: Setting(
        Work(1000, 1, 0, 1.0), Cluster(100), Driver(finish=Cost(writes=10)), FileSystem(write=0.01)
    ),
    simulation.DATASET: Setting(Work(1000, 1, 0, 1.0, dataset=1e10), Cluster(100, bandwidth=1e9)),
    simulation.START: Setting(Work(1000, 1, 0, 1.0), Cluster(100, start=20.0)),
    simulation.STRAGGLERS: Setting(Work(100, 1, 0, 1.0, ratios=(0.8, 1.0, 4.0)), Cluster(100)),
    simulation.LOSSES: Setting(Work(1000, 1, 0, 60.0), Cluster(100, losses=30.0, notice=30, replacement=300)),
    simulation.ROUNDS: Setting(Work(110, 1, 0, 1.0), Cluster(100)),
    "none": Setting(Work(1000, 1, 0, 1.0), Cluster(100), Driver(finish=Cost(0.0001))),
}


@pytest.mark.parametrize("part", HELD_UP)
def test_the_part_that_holds_a_study_up_is_named(part: str) -> None:
    assert bottleneck(HELD_UP[part]).name == part


def test_a_part_that_is_unknown_can_not_be_taken_away() -> None:
    with pytest.raises(ValueError, match="weather"):
        simulation.without(HELD_UP["none"], "weather")


# The driver, with workers that train nothing


class Noted:
    """Takes figures as the measurement notes them."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def add(self, name: str, value: float) -> None:
        self.values[name] = value


def test_emulated_workers_store_every_run_through_the_runner_and_every_part_is_timed(tmp_path: Path) -> None:
    noted: Any = Noted()
    template = record()
    template = replace(template, curves=tuple({**row, "seconds": 0.1} for row in template.curves))
    measure.drive(noted, "driver", tmp_path, template, runs=20, cohort=5, jobs=3, seconds=0.01)

    stored = read_results(tmp_path)
    assert len(stored) == 20
    assert {one.outcome for one in stored} == {"ok"}
    assert len({one.spec.digest for one in stored}) == 20
    for part in (HAND_OUT, BEGIN, ROW, FINISH):
        assert 0 < noted.values[f"driver: {part}, processor"] <= noted.values[f"driver: {part}"] * 1.5
    assert noted.values["driver: all"] > 4 / 3 * 0.01


def test_what_a_cohort_costs_beside_its_runs_is_told_from_two_sizes_of_cohort() -> None:
    found = measure.split({"hand out": [7.0, 4.0], "row": [3.0, 1.0]}, {"hand out": [2.5, 4.0], "row": [3.0, 1.0]})
    assert found == {"hand out": [2.0, 4.0], "cohort": [5.0, 0.0], "row": [3.0, 1.0]}


# The committed figures and the page


def test_the_simulation_reproduces_what_was_measured(committed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    measured, made = committed
    again = studies.checked(measured)
    assert [row["simulated"] for row in again] == pytest.approx([row["simulated"] for row in made["checked"]])
    kinds = {(row["kind"], row["runs"]) for row in again}
    assert {("study", 1), ("study", 10), ("study", 100), ("study", 1000)} <= kinds
    assert {row["workers"] for row in again} >= {1, 2, 10, 100}
    assert {(row["runs"], row["engine"]): row["error"] for row in again if abs(row["error"]) > TOLERANCE} == {}


@pytest.mark.slow
def test_the_committed_simulation_is_that_of_the_committed_figures(
    committed: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    measured, made = committed
    again = json.loads(json.dumps(studies.simulated(measured, made["measured"])))
    for one, other in zip(leaves(made), leaves(again), strict=True):
        assert one == (other if isinstance(other, str) else pytest.approx(other, rel=1e-6, abs=1e-9))


def leaves(value: Any) -> Iterator[Any]:
    """Every number and text of a JSON value."""
    if isinstance(value, dict):
        for key in sorted(value):
            yield from leaves(value[key])
    elif isinstance(value, list):
        for one in value:
            yield from leaves(one)
    else:
        yield value


def test_the_page_says_what_the_figures_say(committed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert page.difference(PAGE, page.rendered(*committed)) == ""


def test_a_page_that_differs_is_named_with_its_line(
    committed: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    measured, made = committed
    text = page.rendered(measured, made)
    other = tmp_path / "scaling.md"
    other.write_text(text.replace(" runs ", " rnus ", 1), "utf-8")
    assert "scaling.md:" in page.difference(other, text)
    other.write_text(text + "more\n", "utf-8")
    assert "lines" in page.difference(other, text)
    assert page.difference(tmp_path / "none.md", text) == "none.md is missing"
    without = {name: one for name, one in measured["figures"].items() if name != "interpreter"}
    with pytest.raises(page.PageError, match="interpreter"):
        page.rendered({**measured, "figures": without}, made)


def test_figures_are_needed_before_they_can_be_simulated(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--measure writes it"):
        main(["--simulate", "--results", str(tmp_path)])


def test_doubled_costs_of_the_driver_double_what_it_holds_up(committed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """The tables follow from the measured figures: not from the driver's name."""
    measured, _ = committed
    driver = studies.driver_of(measured)
    work = studies.issue_study(measured, 0.001, 16)
    slow = replace(driver, finish=driver.finish.times(2), row=driver.row.times(2), begin=driver.begin.times(2))
    bare = replace(studies.setting_of(measured, studies.WAYS[0], work, 300), files=FileSystem())
    once, twice = (
        simulate(replace(bare, driver=replace(one, command=0, plan_run=0, hand_out=Cost(), cohort=Cost(), end=Cost())))
        for one in (driver, slow)
    )
    assert twice.seconds - bare.cluster.start == pytest.approx(2 * (once.seconds - bare.cluster.start), rel=0.25)
