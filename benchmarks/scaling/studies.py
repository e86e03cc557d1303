"""From the measured figures to settings of the simulation: the check against what was measured, the tables beyond it.

What is assumed stands in ``ASSUMED`` with its source, and is shown as assumed wherever it is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.scaling.emulated import BEGIN, FINISH, HAND_OUT, ROW
from benchmarks.scaling.simulation import (
    Bottleneck,
    Cluster,
    Cost,
    Driver,
    FileSystem,
    Setting,
    Work,
    bottleneck,
    simulate,
)

RESULTS = Path(__file__).parents[1] / "results"

Figures = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Assumption:
    """A number that was not measured here.

    Args:
        value: The number.
        unit: Its unit.
        source: Where it comes from.
    """

    value: float
    unit: str
    source: str


EFS = "Amazon EFS, One Zone, as its documentation states them (docs.aws.amazon.com/efs/latest/ug/performance.html)"

ASSUMED = {
    "nfs read": Assumption(250e-6, "s a request", f"{EFS}: “as low as 250 µs”"),
    "nfs write": Assumption(1.6e-3, "s a request", f"{EFS}: “as low as 1.6 ms”"),
    "nfs requests": Assumption(7000, "writing requests a second in all", f"{EFS}: 7,000"),
    "nfs bandwidth": Assumption(3 * 2**30, "bytes a second in all", f"{EFS}: 3 GiB/s for reading, the lower end"),
    "names": Assumption(500, "names a reply", "a listing comes in replies of 32 KB, about 64 bytes a name"),
    "network": Assumption(1.25e9, "bytes a second between machines", "10 Gbit/s Ethernet, its nominal rate"),
    "machine": Assumption(60, "s", "starting a machine or a container in the place of a lost one: a guess"),
    "notice": Assumption(30, "s", "until a lost machine is noticed: a guess of heartbeats"),
    "losses": Assumption(0.01, "machines lost an hour and machine", "a guess for machines that may be taken away"),
    "slots": Assumption(16, "workers a machine", "a choice"),
    "core price": Assumption(0.05, "$ a core-hour", "a round number for rented cores: put yours in its place"),
    "gpu price": Assumption(4.0, "$ a GPU-hour", "a round number for a rented H100 or H200: put yours in its place"),
    "cifar bytes": Assumption(60_000 * 3 * 32 * 32, "bytes", "60,000 images of 3 × 32 × 32 bytes, as uint8"),
}

WORKERS = (1, 10, 100, 1000)


def value(name: str) -> float:
    """Return an assumed number."""
    return ASSUMED[name].value


def median_of(measured: Mapping[str, Any], name: str) -> float:
    """Return the median of a measured figure."""
    return float(measured["figures"][name]["median"])


def reference(measured: Mapping[str, Any]) -> int:
    """Return the size at which the driver's costs are taken: the largest that was also measured one by one."""
    sizes = [int(name.split()[1]) for name in measured["figures"] if name.endswith("runs one by one: all")]
    return max(sizes)


def driver_of(measured: Mapping[str, Any]) -> Driver:
    """Return the driver's costs: its processor's seconds as measured, its requests as counted."""
    size = reference(measured)

    def cpu(part: str, kind: str = "") -> float:
        return median_of(measured, f"driver, {size} runs{kind}: {part}, processor")

    parts = measured["requests"]["parts"]
    together, alone = cpu(HAND_OUT), cpu(HAND_OUT, " one by one")
    cohort = max(0.0, (alone - together) * measured["cells"] / (measured["cells"] - 1))
    planning = median_of(measured, f"command: plan, {size} runs")
    command = median_of(measured, "command: plan, 1 runs")
    end = median_of(measured, f"driver, {size} runs: end") / size
    return Driver(
        command=command,
        plan_run=max(0.0, planning - command) / size,
        hand_out=Cost(max(0.0, alone - cohort), *parts[HAND_OUT]),
        cohort=Cost(cohort, *parts["cohort"]),
        begin=Cost(cpu(BEGIN), *parts[BEGIN]),
        row=Cost(cpu(ROW), *parts[ROW]),
        finish=Cost(cpu(FINISH), *parts[FINISH]),
        end=Cost(end, *parts["end"]),
        name=Cost(median_of(measured, f"driver, {size} runs: listing, processor") / size, 1 / value("names")),
    )


def local_disk(measured: Mapping[str, Any]) -> FileSystem:
    """Return the measured disk: the driver's wait beyond its processor's time, for each writing request."""
    size = reference(measured)
    waited = requests = 0.0
    for part, times in ((HAND_OUT, 1), (BEGIN, 1), (ROW, measured["epochs"] + 1), (FINISH, 1)):
        name = f"driver, {size} runs: {part}"
        waited += times * (median_of(measured, name) - median_of(measured, f"{name}, processor"))
        requests += times * measured["requests"]["parts"][part][1]
    return FileSystem(write=max(0.0, waited) / requests)


def shared_disk() -> FileSystem:
    """Return an assumed file system on a network."""
    return FileSystem(value("nfs read"), value("nfs write"), value("nfs requests"), value("nfs bandwidth"))


# The check


def checked(measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Simulate what was measured as whole: commands with one worker, two and none, and emulated workers that wait.

    What a study's cohorts took to train, and its workers to start, is taken from its own records: the simulation is
    about what stands between. Of the driver only the costs at one size are known to it, and beside workers that wait
    those of the same measurement.
    """
    rows = []
    for name, figure in measured["figures"].items():
        if name.startswith("study, ") and name.endswith(": all"):
            rows.append(_study_row(measured, name.removesuffix(": all"), figure["median"], int(figure["n"])))
        elif name.endswith(" waiting workers: all"):
            rows.append(_waiting_row(measured, name.removesuffix(": all"), figure["median"], int(figure["n"])))
    return sorted(rows, key=lambda row: (row["kind"], row["runs"], row["workers"]))


def _study_row(measured: Mapping[str, Any], name: str, seconds: float, n: int) -> dict[str, Any]:
    _, runs_text, engine_text = name.split(", ")
    runs, (engine, jobs) = int(runs_text.split()[0]), engine_text.split()
    cohorts = median_of(measured, f"{name}: cohorts")
    training = median_of(measured, f"{name}: training") / cohorts
    size = -(-runs // round(cohorts))
    driver = driver_of(measured)
    known = replace(driver, command=median_of(measured, f"command: plan, {runs} runs"), plan_run=0.0)
    own = measured["cells"] if runs >= measured["cells"] else 1
    size = min(own, size)
    work = Work(runs, size, int(measured["epochs"]), training * size * cohorts / runs, measured["cohort_ratios"])
    work = replace(work, seconds=work.seconds / fmean(work.ratios))
    cluster = Cluster(
        workers=int(jobs),
        node=int(jobs),
        inline=engine == "inline",
        start=median_of(measured, f"{name}: until the first epoch"),
    )
    opening = median_of(measured, f"{name}: opening a cohort")
    work = replace(work, seconds=work.seconds + (opening if runs > measured["cells"] * int(jobs) else 0.0))
    outcome = simulate(Setting(work, cluster, known, local_disk(measured)))
    return _row("study", engine, runs, int(jobs), seconds, outcome.seconds, n)


def _waiting_row(measured: Mapping[str, Any], name: str, seconds: float, n: int) -> dict[str, Any]:
    """Simulate workers that wait, with the driver's costs of the same measurement: it is the queue that is checked."""
    workers = int(name.split()[0])
    runs = workers * measured["cells"]
    parts = {part: Cost(median_of(measured, f"{name}: {part}")) for part in (HAND_OUT, BEGIN, ROW, FINISH)}
    driver = Driver(hand_out=parts[HAND_OUT], begin=parts[BEGIN], row=parts[ROW], finish=parts[FINISH])
    work = Work(runs, measured["cells"], int(measured["epochs"]), measured["waiting"][str(workers)])
    outcome = simulate(Setting(work, Cluster(workers=workers), driver))
    return _row("waiting workers", "emulated", runs, workers, seconds, outcome.seconds, n)


def _row(kind: str, engine: str, runs: int, workers: int, seconds: float, found: float, n: int) -> dict[str, Any]:
    return {
        "kind": kind,
        "engine": engine,
        "runs": runs,
        "workers": workers,
        "measured": seconds,
        "simulated": found,
        "error": found / seconds - 1,
        "n": n,
    }


# Beyond what was measured


@dataclass(frozen=True)
class Way:
    """A way to compute a study on many machines.

    Args:
        name: As shown.
        jobs: Whether every machine has a driver of its own.
        shared: Whether results lie on a file system on a network.
        in_flight: Cohorts handed to a worker at most.
        tree: Whether machines pass the dataset on.
    """

    name: str
    jobs: bool
    shared: bool
    in_flight: int = 1
    tree: bool = True


WAYS = (
    Way("one driver (`ray`), results on its own disk", jobs=False, shared=False, in_flight=2),
    Way("one driver (`ray`), results on NFS", jobs=False, shared=True, in_flight=2),
    Way("a driver a machine (`slurm`, `--shard`), results on NFS", jobs=True, shared=True),
)


def setting_of(measured: Mapping[str, Any], way: Way, work: Work, workers: int) -> Setting:
    """Return the setting of a study computed in a way by so many workers."""
    node = min(workers, int(value("slots")))
    machines = -(-workers // node)
    cluster = Cluster(
        workers=workers,
        node=node,
        drivers=machines if way.jobs else 1,
        in_flight=way.in_flight,
        start=median_of(measured, "dispatch, pool: until the first cohorts were done"),
        bandwidth=value("network"),
        tree=way.tree,
        losses=value("losses") if machines > 1 else 0.0,
        notice=value("notice"),
        replacement=value("machine"),
    )
    files = shared_disk() if way.shared else local_disk(measured)
    return Setting(work, cluster, driver_of(measured), files)


def issue_study(measured: Mapping[str, Any], seconds: float, cohort: int) -> Work:
    """Return 20 activations × 5 biases × 5 learning rates × 20 seeds on CIFAR-10, five epochs, cohorts of equal length.

    Args:
        measured: The figures, for the spread of cohorts.
        seconds: What a run takes of a worker.
        cohort: Runs that train together.
    """
    ratios = measured["cohort_ratios"]
    return Work(
        runs=20 * 5 * 5 * 20,
        cohort=cohort,
        epochs=5,
        seconds=seconds * cohort / fmean(ratios),
        ratios=ratios,
        dataset=value("cifar bytes"),
        open=value("cifar bytes") * _open_rate(measured),
    )


def _open_rate(measured: Mapping[str, Any]) -> float:
    """Return the seconds a byte in which the largest measured dataset was opened."""
    name = next(one for one in ("mnist", "mnist-5k", "digits") if f"dataset {one}: seconds" in measured["figures"])
    return median_of(measured, f"dataset {name}: seconds") / median_of(measured, f"dataset {name}: bytes")


def cpu_seconds() -> tuple[float, str]:
    """Return the core-seconds of five epochs of CIFAR-10 on a CPU, and the file that they come from."""
    name = "cifar10_cnn-full-2026-11-25.json"
    found = json.loads((RESULTS / name).read_text("utf-8"))
    a_run, epochs = found["actbench"]["seconds"]["median"], found["size"]["epochs"]
    return 5 * a_run / epochs * found["machine"]["processors"], name


def gpu_seconds() -> tuple[float, str]:
    """Return the GPU-seconds of five epochs of CIFAR-10 in a cohort of 16, and the file that they come from."""
    name = "gpu-nvidia-h200-2026-11-26.json"
    found = json.loads((RESULTS / name).read_text("utf-8"))
    part = next(one for one in found["cnn"] if one["precision"] == "float32")
    a_run = next(row for row in part["rows"] if row["name"] == "cohort, captured")["seconds"]["median"]
    return 5 * a_run * 45_000 / part["size"]["examples"] / part["size"]["epochs"], name


def mlp_seconds() -> tuple[float, str]:
    """Return the core-seconds of five epochs of the MNIST study, and the file that they come from."""
    name = "mnist_mlp-full-2026-11-26.json"
    found = json.loads((RESULTS / name).read_text("utf-8"))
    return found["actbench"]["seconds"]["median"] * found["machine"]["processors"], name


def simulated(measured: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the check and the tables beyond it, as they are stored."""
    cpu, cpu_file = cpu_seconds()
    gpu, gpu_file = gpu_seconds()
    mlp, mlp_file = mlp_seconds()
    rows = []
    for label, work in (
        ("CNN on CPU cores, cohorts of 1", issue_study(measured, cpu, 1)),
        ("CNN on GPUs, cohorts of 16", issue_study(measured, gpu, 16)),
        ("runs of 1 s, cohorts of 16", issue_study(measured, 1.0, 16)),
    ):
        for way in WAYS:
            for workers in WORKERS:
                found = bottleneck(setting_of(measured, way, work, workers))
                rows.append({"study": label, "way": way.name, "workers": workers, **_told(found)})
    claims = {"runs": 2400, "file": "results/claims/bias.json"}
    return {
        "schema": 1,
        "measured": name,
        "assumed": {key: {"value": one.value, "unit": one.unit, "source": one.source} for key, one in ASSUMED.items()},
        "disk": {"write": local_disk(measured).write},
        "checked": checked(measured),
        "rows": rows,
        "examples": _examples(
            measured, {"cpu": (cpu, cpu_file), "gpu": (gpu, gpu_file), "mlp": (mlp, mlp_file)}, claims
        ),
    }


def _told(found: Bottleneck) -> dict[str, Any]:
    return {
        "seconds": found.outcome.seconds,
        "ideal": found.ideal,
        "overhead": found.overhead,
        "bottleneck": found.name,
        "parts": dict(found.parts),
        "busy": found.outcome.busy,
        "lost": found.outcome.lost,
    }


def _examples(
    measured: Mapping[str, Any], seconds: Mapping[str, tuple[float, str]], claims: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return machine-hours and cost of three studies; hours are those that machines are held, waits included."""
    ratios = measured["cohort_ratios"]
    one_driver, _, jobs = WAYS
    mlp, mlp_file = seconds["mlp"]
    class_work = Work(
        30 * 12, 12, 5, mlp * 12 / fmean(ratios), ratios, 70_000 * 784, 70_000 * 784 * _open_rate(measured)
    )
    gpu_mlp = Work(claims["runs"], 60, 5, 60 * _claims_seconds() / fmean(ratios), ratios, 70_000 * 784)
    cpu, cpu_file = seconds["cpu"]
    gpu, gpu_file = seconds["gpu"]
    found = []
    for name, work, way, workers, kind, source in (
        (
            "a class of thirty: 30 seeds × 12 cells on MNIST, a seed each (`--shard I/30`)",
            class_work,
            jobs,
            30,
            "core",
            mlp_file,
        ),
        (
            "the claims’ study of biases: 2,400 runs of 5 × 256",
            gpu_mlp,
            one_driver,
            1,
            "gpu",
            "results/claims/bias.tar.xz",
        ),
        ("10,000 runs on CIFAR-10, on cores", issue_study(measured, cpu, 1), jobs, 1000, "core", cpu_file),
        ("10,000 runs on CIFAR-10, on GPUs", issue_study(measured, gpu, 16), one_driver, 10, "gpu", gpu_file),
    ):
        setting = setting_of(measured, way, work, workers)
        if name.startswith("a class"):  # thirty machines of one worker, each with a disk of its own
            cluster = replace(setting.cluster, node=1, drivers=30, losses=0.0, bandwidth=float("inf"))
            setting = replace(setting, cluster=cluster, files=local_disk(measured))
        outcome = simulate(setting)
        hours = outcome.seconds / 3600 * workers
        price = value(f"{kind} price")
        found.append(
            {
                "study": name,
                "runs": work.runs,
                "workers": workers,
                "kind": kind,
                "work_hours": work.total / 3600,
                "hours": hours,
                "elapsed": outcome.seconds,
                "price": price,
                "cost": hours * price,
                "source": source,
            }
        )
    return found


def _claims_seconds() -> float:
    """Return the mean GPU-seconds of a run of the claims' study of biases, of its committed records."""
    from actbench import read_results

    records = read_results(RESULTS.parents[1] / "results" / "claims" / "bias.tar.xz")
    return fmean(float(record.timing["seconds"]) for record in records)
