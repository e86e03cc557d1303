"""Studies, runs and how they are trained: the words of `run`, `plan`, `status` and the page."""

from __future__ import annotations

from actbench.schema.words.word import Word

RUNS = (
    Word(
        "study",
        "What a config describes: one network, one training, and what varies. Its results lie in results/STUDY/.",
        see=("config", "run", "sweep"),
        page="configuration.md",
    ),
    Word(
        "config",
        "The YAML file that describes a study. `actbench run` keeps a copy beside the results, as study.yaml.",
        spellings=("study.yaml", "yaml"),
        see=("study", "sweep", "compare.baseline"),
        page="configuration.md",
    ),
    Word(
        "run",
        "One training: one combination of settings with one seed. Its id, the name of its folder, says what varies in "
        "the study, the seed, and eight digits of its digest.",
        spellings=("runs", "run id"),
        see=("digest", "seed", "outcome"),
        page="results.md",
    ),
    Word(
        "factor",
        "A key that varies in a study, such as activation or training.optimizer.lr: a column of its table.",
        spellings=("factors",),
        see=("sweep", "row"),
        page="configuration.md",
    ),
    Word(
        "case",
        "One of the named alternatives of a study (`cases` in its config), each of which sets keys of its own. The "
        "name stands for them in tables; (other) is a run that none of them describes.",
        spellings=("(other)",),
        see=("factor", "cases"),
        page="configuration.md",
    ),
    Word(
        "combination",
        "One value for each factor: a row of the table, trained with every seed.",
        spellings=("cell", "cells", "configuration", "configurations", "setting", "settings"),
        see=("factor",),
    ),
    Word(
        "seed",
        "The whole number from which all random draws of a run follow: weights, the order of images, dropout. Runs of "
        "equal seed share them, so their difference is the activation's.",
        see=("paired", "seeds"),
        page="architecture.md",
    ),
    Word(
        "digest",
        "The fingerprint of a run's settings (sha256): the same settings, the same run. By it finished runs are found "
        "and skipped.",
        where="result.json, folder names",
        see=("run",),
        page="results.md",
    ),
    Word(
        "data and model",
        "The dataset and the model of the runs; each pair has a table of its own.",
        where="plan, compare",
        spellings=("data, model", "context", "contexts"),
        see=("dataset", "model"),
    ),
    Word(
        "epoch",
        "One pass over the training images. Epoch 0 is the network before the first step.",
        spellings=("epochs",),
        see=("epoch 0", "training.epochs", "epochs to"),
    ),
    Word(
        "epoch 0",
        "The network before the first step.",
        spellings=("initialisation", "at initialisation"),
        see=("epoch", "born_dead"),
    ),
    Word(
        "cohort",
        "Runs that train together as one stack of tensors, because they differ only in activation, bias, weight "
        "initialisation and seed. The numbers are those of each run alone; --cohort-size limits it.",
        spellings=("cohorts", "cohort_size", "cohort-size"),
        see=("engine", "worker"),
        page="architecture.md",
    ),
    Word(
        "worker",
        "A process that trains one cohort at a time; --jobs says how many there are.",
        spellings=("workers", "jobs"),
        see=("cohort", "timeout"),
    ),
    Word(
        "engine",
        "Where runs are computed: `pool`, in worker processes, or `inline`, one after the other in this one. Both give "
        "the same numbers.",
        where="plan, run",
        spellings=("engines",),
        see=("worker",),
        page="architecture.md",
    ),
    Word(
        "device",
        "What computes: cpu, cuda or mps. auto takes a GPU where torch finds one.",
        where="plan, doctor, result.json",
        spellings=("devices", "device_name"),
        see=("engine",),
    ),
    Word(
        "timeout",
        "Seconds after which a worker that finishes no step is ended and its cohort tried again (600; 0: never). The "
        "engine inline can't end itself.",
        where="run",
        see=("worker",),
    ),
    Word(
        "retry",
        "Which of the runs that have ended are run again: `failed` ones, `none`, or `all`, which means collapsed and "
        "diverged ones, too. --force repeats every run.",
        where="run, plan",
        spellings=("force",),
        see=("failed", "collapsed", "diverged"),
    ),
    Word(
        "smoke",
        "The study cut to seconds (--smoke): one epoch, two seeds, 512 images at most. It shows that everything works, "
        "and no result; it lies in a folder of its own, STUDY-smoke.",
        where="run, plan",
        see=("study",),
    ),
    Word(
        "capture",
        "Launches whole training steps at once, by replaying the recorded kernels on a CPU and by a CUDA graph on a "
        "GPU. Faster, with the same numbers; --no-capture switches it off.",
        where="run",
        page="internals.md",
    ),
    Word(
        "products",
        "The library that computes matrix products on a CPU: `default` is torch's own choice, `onednn` the other one. "
        "`auto` measures once per machine which is faster. The last bits differ.",
        where="run, doctor, result.json",
        spellings=("dense products", "onednn"),
        see=("kernels",),
        page="architecture.md",
    ),
    Word(
        "kernels",
        "What computes activations, their derivatives and the loss on a CPU: `native`, compiled from C on this "
        "machine, or `torch`. `auto` takes native ones wherever a C compiler can make them. The last bits differ.",
        where="run, doctor, result.json",
        spellings=("native kernels", "activations, loss"),
        see=("products",),
        page="internals.md",
    ),
    Word(
        "time",
        "How long the command may take, estimated from finished runs of the same kind, or where there are none of the "
        "same dataset and model (`basis`). The estimate is in `seconds`.",
        where="plan",
        spellings=("basis", "time left"),
    ),
    Word(
        "disk",
        "How much the results of the runs to do will take, by the mean size of the finished ones.",
        where="plan",
        spellings=("bytes", "bytes_a_run"),
    ),
    Word(
        "curve",
        "The numbers of a run epoch by epoch, a line each in metrics.jsonl.",
        where="show, diff, charts",
        spellings=("curves", "learning curve", "learning_curves"),
        see=("epoch 0",),
        page="results.md",
    ),
    Word(
        "final",
        "The metrics at the last epoch.",
        where="show, diff, result.json",
        spellings=("final metrics",),
        see=("metric",),
        page="results.md",
    ),
    Word(
        "metric",
        "A number that a run reports, such as test.accuracy: `actbench list metrics`. The first one asked for leads: "
        "it orders the table, and verdicts are about it.",
        spellings=("metrics", "leading metric"),
        see=("final", "compare.metric"),
        page="results.md",
    ),
    Word(
        "environment",
        "What a run was computed with: versions, device, threads, command. In `actbench help environment`: the "
        "variables that stand for options.",
        where="show, diff, result.json",
        see=("device",),
        page="results.md",
    ),
    Word(
        "nats",
        "The unit of a loss: cross-entropy by the natural logarithm. Guessing among 10 classes costs 2.303 nats.",
        see=("test.loss",),
    ),
)
