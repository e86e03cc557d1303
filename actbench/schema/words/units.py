"""Hidden units: the rules by which they are judged, how they fare over the epochs, and the signal that they carry."""

from __future__ import annotations

from actbench.schema.health_measures import HEALTH_MEASURES
from actbench.schema.words.word import Word

_RULES = {name: measure.rule for name, measure in HEALTH_MEASURES.items()}

UNITS = (
    Word(
        "unit",
        "A neuron of a hidden layer, in a convolution a channel. z is its pre-activation, f(z) its output, f′(z) the "
        "slope there. The output layer has none that are judged.",
        where="show, result.json",
        spellings=("units", "hidden unit", "hidden units"),
        see=("dead", "layer", "probe"),
        page="architecture.md",
    ),
    Word(
        "hinge",
        "The inputs at which a unit's pre-activation is 0: in the first layer a straight line w·x + b = 0, in later "
        "ones a bent one. There a ReLU unit bends, and nowhere else.",
        where="plot --boundary",
        spellings=("hinges", "boundary"),
        see=("unit", "dead"),
        page="charts.md",
    ),
    Word(
        "layer",
        "A hidden layer, named as its place in the network: hidden.0 is the first of an mlp, conv.0.1 the second "
        "convolution of a cnn's first block, dense.0 the first layer behind them.",
        where="show, diff, result.json",
        spellings=("layers", "hidden.0", "conv.0.0", "dense.0", "hidden layer", "hidden layers"),
        see=("unit",),
        page="results.md",
    ),
    Word(
        "probe",
        "Training images, the same for all runs of a study, on which the hidden units are observed.",
        see=("health.probe_size", "dead"),
        page="architecture.md",
    ),
    Word(
        "dead",
        f"Of a hidden unit: {_RULES['dead']}; it can't learn. For ReLU: zero on every image of the probe. What helps? "
        "`actbench run cures` compares ten cures.",
        formula="max over the probe of |f′(z)| ≤ health.dead_slope",
        spellings=("dead units", "dead unit", "dead_fraction", "silent"),
        see=("health.dead_slope", "born_dead", "inert", "health.dead_fraction"),
        page="architecture.md",
    ),
    Word(
        "constant",
        f"Of a hidden unit: {_RULES['constant']}.",
        formula="sd over the probe of f(z) ≤ health.constant_std",
        spellings=("constant_fraction",),
        see=("health.constant_std", "inert"),
        page="architecture.md",
    ),
    Word(
        "inert",
        "Of a hidden unit: dead or constant.",
        spellings=("inert_fraction",),
        see=("dead", "constant", "collapsed"),
        page="architecture.md",
    ),
    *(
        Word(
            name,
            f"Of {'hidden units' if measure.counts else 'a layer'}: {measure.rule}.",
            where="show, result.json",
            spellings=(f"{name}_fraction",) if measure.counts else (),
            see=("unit", "probe"),
            page="results.md",
        )
        for name, measure in HEALTH_MEASURES.items()
        if name not in ("dead", "constant", "inert")
    ),
    Word(
        "born_dead",
        "Hidden units that are dead at epoch 0, before any training: it is the initialisation that kills them.",
        where="show, result.json, charts",
        spellings=("born dead",),
        see=("died", "epoch 0", "health.born_dead_fraction"),
        page="results.md",
    ),
    Word(
        "died",
        "Hidden units that are dead now and were alive at the epoch before.",
        where="show, result.json, charts",
        see=("revived", "lost", "first_death"),
        page="results.md",
    ),
    Word(
        "revived",
        "Hidden units that are alive now and were dead at the epoch before.",
        where="show, result.json, charts",
        see=("died",),
        page="results.md",
    ),
    Word(
        "recycled",
        "How often since the epoch before a dormant unit began anew: with weights as a new run would draw them, and "
        "outgoing weights of 0. Only with `training.revive: redo`.",
        where="show, metrics.jsonl, result.json",
        see=("training.revive", "dormant", "revived"),
        page="configuration.md",
    ),
    Word(
        "lost",
        "Of hidden units: dead now and alive at epoch 0. Of runs in a warning: without a value, since they diverged or "
        "failed.",
        where="show, result.json",
        spellings=("left_out", "lost runs"),
        see=("born_dead", "died"),
        page="results.md",
    ),
    Word(
        "first_death",
        "The epoch of the earliest death of a unit that was alive at epoch 0.",
        where="show, result.json",
        see=("died",),
        page="results.md",
    ),
    Word(
        "persistence",
        "The share of the units dead at the epoch before that still are; none where there were no such units.",
        where="show, result.json",
        see=("died", "revived"),
        page="results.md",
    ),
    Word(
        "worst_layer",
        "The hidden layer with the largest share of dead units.",
        where="result.json",
        see=("health.worst_layer_dead_fraction",),
        page="results.md",
    ),
    Word(
        "z",
        "A pre-activation: what enters the activation function, after a norm if the model has one.",
        spellings=("pre-activation", "pre-activations"),
        see=("unit", "z_mean", "model.norm"),
    ),
    Word(
        "layer norm",
        "Each example's pre-activations in a layer, for a convolution all channels and positions, brought to mean 0 "
        "and variance 1, then scaled and shifted by learned numbers, one of each per unit.",
        formula="γ·(z − mean)/√(variance + 1e-5) + β",
        spellings=("layer normalisation", "layer normalization"),
        see=("model.norm",),
        page="configuration.md",
    ),
    Word(
        "DyT",
        "Dynamic tanh, a bounded function in the place of a normalisation; γ and β are learned for each unit, α for "
        "each layer (arXiv:2503.10622).",
        formula="γ·tanh(α·z) + β",
        spellings=("dyt", "dynamic tanh"),
        see=("model.norm", "model.norm_alpha"),
        page="configuration.md",
    ),
    Word(
        "Derf",
        "Dynamic erf, a bounded function in the place of a normalisation; γ and β are learned for each unit, α and s "
        "for each layer (arXiv:2512.10938).",
        formula="γ·erf(α·z + s) + β",
        spellings=("derf", "dynamic erf"),
        see=("model.norm", "model.norm_alpha"),
        page="configuration.md",
    ),
    Word(
        "pre_activations",
        "How many pre-activations a hidden layer has, and how many outputs, where the activation changes its width: a "
        "gate makes one output of two, maxout one of as many as it has pieces, crelu two of one.",
        where="show, result.json",
        spellings=("outputs",),
        see=("silent_pre_activations", "closed", "model.match"),
        page="health.md",
    ),
    Word(
        "network_sizes",
        "Weights and biases of each network of a study, and the outputs of its hidden layers, where an activation "
        "changes the width of its layers and the shape of the data is known.",
        where="plan",
        spellings=("sizes of networks",),
        see=("model.match", "parameters"),
        page="configuration.md",
    ),
    Word(
        "silent_pre_activations",
        "Pre-activations that no gradient reaches on the probe, where a unit has several: of a gate its value or the "
        "gate itself, of maxout a piece that is never the largest. The unit may learn through the others.",
        formula="max |∂a/∂z| ≤ dead_slope",
        where="show, result.json",
        see=("dead", "closed"),
        page="health.md",
    ),
    Word(
        "closed",
        "Units whose gate is closed on the whole probe: g(z) of the output v·g(z) is about 0, so nothing passes.",
        formula="max |g(z)| ≤ dead_slope",
        where="show, result.json",
        see=("dead", "silent_pre_activations"),
        page="health.md",
    ),
    Word(
        "z_mean",
        "Mean and standard deviation (z_std) of all pre-activations of a layer on the probe.",
        where="show, result.json",
        spellings=("z_std",),
        see=("z", "a_mean"),
        page="results.md",
    ),
    Word(
        "a_mean",
        "Mean, standard deviation (a_std) and largest size (a_max) of a layer's outputs f(z) on the probe.",
        where="show, result.json",
        spellings=("a_std", "a_max"),
        see=("z_mean",),
        page="results.md",
    ),
    Word(
        "z_histogram",
        "How many pre-activations (a_histogram: outputs) of a layer lie in each of 80 bins, at epoch 0 and at the last "
        "epoch: `counts` from the bin `first` on.",
        where="result.json",
        spellings=("a_histogram", "first", "counts", "histogram", "histograms"),
        see=("z",),
        page="results.md",
    ),
    Word(
        "gradient_norm",
        "L2 norm of the gradient of the loss with respect to a layer's pre-activations. Where it is tiny in the first "
        "layers, they hardly learn.",
        formula="‖∂loss/∂z‖",
        where="show, result.json",
        see=("health.gradient_ratio",),
        page="results.md",
    ),
    Word(
        "learned",
        "Parameters that an activation learns, such as the slope of prelu: the value in each layer, the mean over "
        "units where each has its own.",
        where="show, result.json",
        spellings=("(learned)", "learned by the activation"),
        see=("layer",),
        page="results.md",
    ),
    Word(
        "diagnosis",
        "Sentences on what went wrong in a run, since when, and what usually helps; none for a healthy run.",
        where="show, result.json",
        page="results.md",
    ),
)
