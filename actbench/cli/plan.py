"""What ``actbench run --dry-run`` prints: what would be run, with what time and disk it may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actbench.runner import Runner


def describe(runner: Runner) -> str:
    """The plan, as aligned lines of text."""
    specs, study = runner.specs, runner.study
    shared = sorted({f"{spec.dataset.label} · {spec.model.label}" for spec in specs})
    lines = {
        "study": f"{study.name} -> {runner.store.folder}",
        "data, model": "; ".join(shared),
        "factors": ", ".join(study.factors) or "none",
        "seeds": _seeds(list(dict.fromkeys(spec.seed for spec in specs))),
        "runs": f"{len(specs)}: {len(specs) - len(runner.waiting)} done, {len(runner.waiting)} to do",
        "cohorts": f"{len(runner.cohorts)} on {runner.jobs} worker(s), {runner.runtime.device}",
        "time": _time(runner),
        "disk": _disk(runner),
    }
    return "\n".join(f"{name:12} {value}" for name, value in lines.items())


def _seeds(seeds: list[int]) -> str:
    """All of them, or the first and the last of many."""
    if len(seeds) <= 12:
        return ", ".join(map(str, seeds))
    return f"{seeds[0]}, {seeds[1]}, {seeds[2]} … {seeds[-1]} ({len(seeds)} in all)"


def _time(runner: Runner) -> str:
    """From the finished runs of this study that had the same data, model and training."""
    from actbench.store import read_results

    if not runner.waiting:
        return "nothing to do"
    seen: dict[str, list[float]] = {}
    if len(runner.waiting) < len(runner.specs):
        for record in read_results(runner.store.folder):
            if "seconds" in record.timing:
                seen.setdefault(record.spec.cohort_key, []).append(record.timing["seconds"])
    known = [seen[spec.cohort_key] for spec in runner.waiting if spec.cohort_key in seen]
    if not known:
        return "unknown until a run of this kind has finished"
    seconds = sum(sum(times) / len(times) for times in known) * len(runner.waiting) / len(known)
    return f"about {seconds / min(runner.jobs, len(runner.cohorts)):.0f} s, by the runs finished so far"


def _disk(runner: Runner) -> str:
    runs = runner.store.folder / "runs"
    finished = [path.parent for path in runs.glob("*/result.json")][:50]
    if not finished:
        return "unknown until a run has finished; a few KB a run"
    each = sum(file.stat().st_size for folder in finished for file in folder.iterdir()) / len(finished)
    return f"about {each * len(runner.waiting) / 1024:.0f} KB, {each / 1024:.1f} KB a run"
