"""How a run ended, and how far one is that has not."""

from __future__ import annotations

from actbench.schema.words.word import Word

OUTCOMES = (
    Word(
        "outcome",
        "How a run ended: ok, collapsed, diverged or failed. A table has a column of outcomes where not all runs are "
        "ok; it counts those that went wrong and gives the Wilson interval of their share.",
        where="compare, show, status, result.json",
        spellings=("outcomes",),
        see=("ok", "collapsed", "diverged", "failed", "Wilson interval"),
        page="results.md",
    ),
    Word(
        "ok",
        "Outcome of a run that is neither collapsed nor diverged nor failed.",
        see=("outcome",),
        page="results.md",
    ),
    Word(
        "collapsed",
        "Outcome of a run with more inert hidden units than health.collapse_at allows, or with a layer all of whose "
        "units are inert. It has values, and they are averaged in. The latter can only guess; the former may be as "
        "accurate as ever: the share of inert units alone does not decide.",
        spellings=("collapse",),
        see=("inert", "health.collapse_at"),
        page="architecture.md",
    ),
    Word(
        "diverged",
        "Outcome of a run in which a loss or a parameter was not a finite number below 1e300. It has no final "
        "accuracy, so it is counted beside the means and in no mean. A smaller learning rate often helps.",
        spellings=("diverge",),
        see=("outcome", "training.optimizer.lr", "training.clip_norm"),
        page="results.md",
    ),
    Word(
        "failed",
        "Outcome of a run that ended with an error. It has no values; its traceback lies in error.txt in its folder, "
        "and `actbench status` names the file.",
        spellings=("fail", "failure", "failures"),
        see=("retry", "outcome"),
        page="results.md",
    ),
    Word(
        "done",
        "Runs that have ended with values: ok, collapsed or diverged. Failed ones are counted apart.",
        where="status, plan",
        spellings=("finished",),
        see=("outcome", "to do"),
    ),
    Word(
        "running",
        "Runs that a living process works on now. Each is named with the process, its last epoch and since when.",
        where="status",
        see=("stale",),
    ),
    Word(
        "paused",
        "Runs that were stopped in training and saved: `actbench run` takes them up where they were.",
        where="status, runs",
        spellings=("goes on from epoch", "checkpoint"),
        see=("stale", "training.checkpoint_every"),
        page="reliability.md",
    ),
    Word(
        "state",
        "Of a run: its outcome, or where it has none running, paused or stale. Of a dataset in `doctor`: whether it is "
        "at hand.",
        where="runs, doctor --json",
        see=("outcome", "running", "paused", "stale"),
    ),
    Word(
        "stale",
        "Runs that were begun, that no living process has and no checkpoint holds: `actbench run` begins them anew.",
        where="status, runs",
        see=("paused", "running"),
        page="reliability.md",
    ),
    Word(
        "to do",
        "Runs of the study that have not been begun. Null, or ?, where the config beside the results can't be read.",
        where="status, plan",
        spellings=("waiting",),
        see=("unfinished",),
    ),
    Word(
        "unfinished",
        "Runs that are planned or begun and have not ended. `compare --fail-if 'unfinished > 0'` makes a gate of them.",
        where="compare --fail-if",
        see=("to do", "stale", "gate"),
    ),
)
