"""Fields of the JSON, the CSV and the files that are not words of a table, and the columns of the smaller commands."""

from __future__ import annotations

from actbench.schema.words.word import Word

FIELDS = (
    Word(
        "packed study",
        "A zip or tar.xz file that `actbench pack` made of a study's folder, which every reading command takes as it "
        "is. It holds no locks and no checkpoints; to train more, unpack it.",
        where="pack, status",
        spellings=("pack", "zip file", "tar.xz file"),
        page="results.md",
    ),
    Word("schema", "The version of the file's format: 1.", where="every JSON"),
    Word("comparisons", "One entry a table: a study on a dataset with a model.", where="compare --json"),
    Word("studies", "One entry a study below the folder.", where="status --json"),
    Word("name", "The name of what the entry is about: a layer, a component, a dataset, a kernel.", where="every JSON"),
    Word(
        "text",
        "The expectation as the config has it. In `explain --json`, the meaning of a word.",
        where="compare --json, explain --json",
        see=("expectation",),
    ),
    Word(
        "word",
        "A word of `explain`, with its group, its other spellings, the words to see next, the page of docs/ to read, "
        "and where it is printed (`in`).",
        where="explain --json",
        spellings=("group", "spellings", "see", "page", "in"),
    ),
    Word("note", "The facts in words: what decides, what is missing, what is unknown.", where="every JSON"),
    Word(
        "unit of a metric",
        "The unit that a metric is stored in: fraction (shown in percent), nats, squared (the "
        "square of the targets' unit), count, epochs, ratio or seconds.",
        where="CSV, result.json",
        spellings=("fraction", "count", "ratio", "squared", "unit (CSV)"),
        see=("metric", "nats"),
    ),
    Word(
        "higher_is_better",
        "Whether more of the metric is better; null where neither direction is.",
        where="result.json",
        see=("metric",),
    ),
    Word(
        "versus_",
        "Begins the CSV columns of the difference to the baseline: versus_low is the lower end of its interval.",
        where="CSV",
        see=("Δ",),
        page="results.md",
    ),
    Word(
        "reach_",
        "Begins the CSV columns of --reach: reach_epochs, reach_reached of reach_n seeds, for reach_metric and "
        "reach_level.",
        where="CSV",
        see=("epochs to",),
        page="results.md",
    ),
    Word(
        "left_",
        "Begins the CSV columns of the first of two rows, right_ those of the second.",
        where="CSV of --all-pairs",
        spellings=("right_",),
        see=("all pairs",),
        page="results.md",
    ),
    Word(
        "tuned",
        "In a tuned table: the tuned factors, the validation metric that picked their values (`by`) and what was "
        "`picked` for each row.",
        where="compare --tune",
        see=("tune", "picked"),
        page="results.md",
    ),
    Word("folder", "Where the study's results are, or will be.", where="plan --json, status --json"),
    Word(
        "all",
        "The number of runs of the study, done and to do. Of --retry: every run that is not ok.",
        where="plan --json",
        see=("done", "to do"),
    ),
    Word(
        "resume",
        "The command that goes on, as words; empty where the config can't be read. `to go on` in the text.",
        where="status --json",
        spellings=("to go on",),
        see=("stale",),
    ),
    Word(
        "message",
        "Why a run is not ok, or what is wrong with a config.",
        where="show, status --json, check --json, result.json",
        see=("outcome",),
    ),
    Word(
        "file",
        "Where a mistake in a config is: its file, `line` and `column`, from 1 on.",
        where="check --json",
        spellings=("configs", "line", "column"),
        see=("problems", "config"),
    ),
    Word("log", "The file with the traceback of a failed run.", where="status --json", see=("failed",)),
    Word("why", "The reason, in words.", where="status --json, doctor --json"),
    Word("host", "The machine on which a process works on a run.", where="status --json", see=("running",)),
    Word("pid", "The number of that process.", where="status --json", see=("running",)),
    Word("since", "When the process took the run.", where="status --json", see=("running",)),
    Word(
        "spec",
        "Every setting of a run with its value, defaults included.",
        where="result.json, spec.json",
        see=("run", "digest"),
        page="results.md",
    ),
    Word(
        "timing",
        "How long the run took: cohort_seconds by the clock for the whole cohort of cohort_runs runs, and their "
        "quotient, seconds; training_seconds of these went into training steps. Before that clock: startup_seconds "
        "from the command to its first cohort, opening_seconds to load a cohort's data and networks.",
        where="show, result.json",
        spellings=("cohort_runs", "cohort_seconds", "training_seconds", "opening_seconds", "startup_seconds"),
        see=("cohort", "seconds"),
        page="results.md",
    ),
    Word("actbench", "The version of actbench.", where="doctor, result.json", spellings=("versions",)),
    Word("python", "The version of Python.", where="doctor, result.json"),
    Word("numpy", "The version of NumPy.", where="doctor, result.json"),
    Word("torch", "The version of PyTorch.", where="doctor, result.json", spellings=("pytorch version",)),
    Word("system", "The operating system and its version.", where="doctor, cost, result.json"),
    Word(
        "processors",
        "Processors: those that this program may use, and those of the machine.",
        where="doctor, result.json",
        spellings=("processor", "usable", "machine", "cpu"),
    ),
    Word(
        "processor_details",
        "The processor's maker, family and model, the name of its core where that is known, the instructions that "
        "matrix products are made of, and the bytes of its caches L2 and L3.",
        where="doctor --json, cost --json",
        spellings=("vendor", "family", "core", "features", "cache_bytes", "L2", "L3"),
    ),
    Word("threads", "Threads of torch.", where="doctor, cost, result.json"),
    Word("memory", "Main memory: in all, and what is available.", where="doctor", spellings=("total", "available")),
    Word("argv", "The command that trained the run.", where="show, result.json"),
    Word(
        "shard",
        "One of the N parts that --shard I/N splits a study into, the same on every machine: whole seeds as far as "
        "they go round, of equal work. In a record: the part that its command trained.",
        where="plan, status, show, result.json",
        spellings=("shards", "work", "partial_seeds"),
        see=("seed", "cohort"),
        page="howto/shards.md",
    ),
    Word("git_commit", "The commit of the folder in which the command was given, if it is a repository.", where="show"),
    Word(
        "data",
        "The sha256 of the dataset's images and labels before any split, by which `compare` notices that one name "
        "stood for different data. In `doctor`: the folder of the datasets.",
        where="show, doctor, result.json",
        see=("dataset",),
    ),
    Word("classes", "How many classes the dataset has: guessing is right once in so many.", where="show, result.json"),
    Word(
        "series",
        "In the numbers of a chart: which line or bar (`of` which panel), where it lies (`at`), and its `value`.",
        where="report",
        spellings=("of", "at", "value"),
    ),
    Word("datasets", "The datasets, and whether each is at hand.", where="doctor"),
    Word(
        "folders",
        "Where datasets and results lie, whether that is writable, and the space left.",
        where="doctor",
        spellings=("path", "exists", "writable", "free_bytes"),
    ),
    Word(
        "problems",
        "What is wrong here, each with its remedy; in `check --json` the mistakes of a config.",
        where="doctor",
        spellings=("troubles", "remedy", "what"),
    ),
    Word(
        "ray_cluster",
        "The machines of the Ray cluster of `doctor --address`, with versions, code and datasets; null without one.",
        where="doctor --json",
        spellings=("nodes", "address"),
    ),
    Word("choice", "The kernel that is chosen.", where="doctor --json", see=("products",)),
    Word("entry", "What differs between the environments of two runs.", where="diff", see=("environment",)),
    Word("A", "The first of the two runs that are compared; B is the second.", where="diff", spellings=("B", "values")),
    Word(
        "parting_epoch",
        "The first epoch at which a loss of the two runs differs by more than rounding (relative_rounding); "
        "first_epoch_with_other_bits: at all. epochs_compared and curves_compared say what was looked at, `losses` and "
        "`layers` hold the values then.",
        where="diff",
        spellings=(
            "first_epoch_with_other_bits",
            "relative_rounding",
            "epochs_compared",
            "curves_compared",
            "losses",
            "rounding",
        ),
        page="results.md",
    ),
)

TOOLS = (
    Word(
        "ns",
        "Nanoseconds an element: the median over rounds in which all activations take turns; in brackets the rounds "
        "between which the true median lies with `coverage`.",
        where="cost",
        spellings=("median", "rounds", "coverage", "nanoseconds"),
        page="benchmarks.md",
    ),
    Word(
        "× identity",
        "The time over that of z·1, which reads and writes each element once; × relu: over that of ReLU, of the same "
        "round.",
        where="cost",
        spellings=(
            "× relu",
            "×",
            "x identity",
            "x relu",
            "ratio_to_identity",
            "ratio_to_relu",
            "references",
            "identity (written)",
        ),
        page="benchmarks.md",
    ),
    Word(
        "kept",
        "Bytes that an element occupies from the forward to the backward pass, output included.",
        where="cost",
        spellings=("bytes_per_element", "saved_bytes_per_element"),
        page="benchmarks.md",
    ),
    Word(
        "forward",
        "The pass as in evaluation; forward+backward as in training. Both in tensors that fit a core's cache and in "
        "ones that don't (`sizes`).",
        where="cost",
        spellings=(
            "forward+backward",
            "forward_backward",
            "backward",
            "sizes",
            "size",
            "elements",
            "in cache",
            "in memory",
        ),
        page="benchmarks.md",
    ),
    Word("clock", "What the time was measured with.", where="cost --json"),
    Word(
        "var z",
        "Theory: the variance of the pre-activations in the first and the last hidden layer, before training.",
        formula="E[z²]",
        where="show --theory",
        spellings=("variances",),
        see=("χ",),
        page="verification.md",
    ),
    Word(
        "χ",
        "Theory: the factor by which the gradient's squared norm changes from each layer to the one below. 1 keeps it, "
        "less makes it vanish, more makes it explode.",
        where="show --theory",
        spellings=("gradient_factors", "chi"),
        see=("first/last",),
        page="verification.md",
    ),
    Word(
        "first/last",
        "Theory: the gradient's norm in the first hidden layer over that in the last, and whether it would pass, "
        "vanish (below 0.001) or explode (above 1000).",
        where="show --theory",
        spellings=("gradients", "gradient_ratio", "vanish", "explode", "pass"),
        see=("χ", "health.gradient_ratio"),
        page="verification.md",
    ),
    Word(
        "silenced",
        "Theory: the probability that a whole layer is zero at one given input, at any width; ≤ marks an upper bound.",
        where="show --theory",
        spellings=("silenced_at_most",),
        see=("zeros",),
        page="verification.md",
    ),
    Word(
        "zeros",
        "Theory: the expected share of outputs that are exactly zero.",
        where="show --theory",
        see=("sparsity",),
    ),
    Word(
        "born dead",
        "Theory: bounds of the probability that a network of one input and zero biases is zero on every input, so that "
        "it can't learn; `silenced` is the upper one, for any number of inputs.",
        where="show --theory",
        spellings=("born_dead_at_least",),
        see=("silenced", "born_dead"),
        page="verification.md",
    ),
    Word(
        "variance_spreads",
        "Theory: the standard deviation of var z between networks at one input, over its mean, for each hidden layer. "
        "Empty where no law is known: it needs f(c·z) = c·f(z) for c > 0, normal weights and zero biases.",
        where="show --theory --json",
        page="verification.md",
    ),
    Word(
        "expected",
        "The published or derived number; `measured` is what this installation gets, and `tolerance` how far it may be "
        "off. `ok` and MISS are the verdicts, `source` the paper. Where `between` is true, `expected` is two bounds.",
        where="verify",
        spellings=("measured", "tolerance", "source", "check", "MISS", "skipped", "exact", "between"),
        page="verification.md",
    ),
    Word(
        "f(z)",
        "The activation's formula; f′(z) is its derivative, with the value that is taken at kinks; `limits` are those "
        "of f far below and above zero, where they are finite.",
        where="show ACTIVATION",
        spellings=(
            "f′(z)",
            "f'(z)",
            "derivative",
            "formula",
            "limits",
            "kinks",
            "summary",
            "reference",
            "options",
            "constants",
        ),
        see=("z",),
    ),
    Word(
        "E[f(Z)²]",
        "The mean square of the output for a standard normal input Z. `gain` is the factor on the weights that keeps "
        "the variance from layer to layer.",
        formula="gain = E[f(Z)²]^(−1/2)",
        where="show ACTIVATION",
        spellings=("second_moment", "gain", "gain E[f²]^−½"),
    ),
    Word(
        "minimum",
        "The lowest point of a function that falls and rises again, and the z at which it lies.",
        where="show ACTIVATION",
        spellings=("minimum at z", "minimum_at"),
    ),
)
