"""Names as people write them: synonyms, printed labels, names of other tools; and numbers that torch can't hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actbench.errors import ConfigError
from actbench.schema.components import resolve
from actbench.schema.registry import TABLES, names
from actbench.schema.synonyms import EXPLAINED, SYNONYMS, canonical, explanation, folded


@pytest.mark.parametrize(
    ("kind", "written", "name"),
    [
        ("weight_inits", "kaiming_normal", "he_normal"),
        ("weight_inits", "kaiming_uniform", "he_uniform"),
        ("weight_inits", "glorot_uniform", "xavier_uniform"),
        ("weight_inits", "Glorot Normal", "xavier_normal"),
        ("activations", "lrelu", "leaky_relu"),
        ("activations", "LeakyReLU", "leaky_relu"),
        ("activations", "Leaky ReLU", "leaky_relu"),
        ("activations", "hard-swish", "hardswish"),
        ("activations", "gelu_fast", "gelu_tanh"),
        ("activations", "swish1", "silu"),
        ("activations", "SiLU", "silu"),
        ("activations", "QuickGELU", "quick_gelu"),
        ("activations", "LogSigmoid", "log_sigmoid"),
        ("activations", "tanh_shrink", "tanhshrink"),
        ("activations", "Hard Shrink", "hardshrink"),
        ("activations", "soft_thresholding", "softshrink"),
        ("activations", "ThresholdedReLU", "threshold"),
        ("activations", "StarReLU", "star_relu"),
        ("activations", "sin", "sine"),
        ("activations", "relu2", "squared_relu"),
        ("activations", "gelu_python", "gelu"),
        ("optimizers", "AdamW", "adamw"),
        ("schedules", "cosine_annealing", "cosine"),
        ("datasets", "CIFAR-10", "cifar10"),
        ("datasets", "FashionMNIST", "fashion_mnist"),
        ("models", "MLP", "mlp"),
    ],
)
def test_a_synonym_is_the_thing_itself(kind: str, written: str, name: str) -> None:
    found, expected = resolve(kind, written), resolve(kind, name)
    assert (found.name, found.label, found.to_minimal()) == (name, expected.label, expected.to_minimal())


ELSEWHERE = {
    "torch.nn": """celu elu gelu hardshrink hardsigmoid hardswish hardtanh leakyrelu logsigmoid mish prelu relu relu6
        rrelu selu sigmoid silu softplus softshrink softsign tanh tanhshrink threshold identity glu softmax softmin
        logsoftmax""",
    "keras.activations": """celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh
        leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus
        softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold""",
    "jax.nn": """celu elu gelu glu hard_sigmoid hard_silu hard_swish hard_tanh identity leaky_relu log_sigmoid
        log_softmax mish relu relu6 selu sigmoid silu soft_sign softmax softplus sparse_plus sparse_sigmoid squareplus
        swish tanh""",
    "timm": """silu swish mish relu relu6 leaky_relu elu celu selu prelu gelu gelu_tanh quick_gelu sigmoid tanh
        hard_sigmoid hard_swish hard_mish identity""",
    "transformers": """gelu gelu_10 gelu_fast gelu_new gelu_python gelu_pytorch_tanh gelu_python_tanh gelu_accurate
        hardswish laplace leaky_relu linear mish quick_gelu relu relu2 relu6 sigmoid silu sqrtsoftplus swish tanh prelu
        xielu""",
}
"""The elementwise functions of five libraries, and what people take for one, by the names of those libraries."""


@pytest.mark.parametrize("library", ELSEWHERE)
def test_every_activation_of_the_libraries_is_known_or_explained(library: str) -> None:
    valid = names("activations")
    unknown = [
        name
        for name in ELSEWHERE[library].split()
        if canonical("activations", name, valid) not in valid and explanation("activations", name) is None
    ]
    assert unknown == []


def test_every_synonym_leads_to_a_name_and_hides_none() -> None:
    for kind, table in SYNONYMS.items():
        valid = names(kind)
        for written, name in table.items():
            assert name in valid
            assert canonical(kind, written, valid) == name, "another name is spelled the same but for capitals"
    for kind, explained in EXPLAINED.items():
        taken = {folded(name) for name in (*names(kind), *SYNONYMS.get(kind, ()))}
        assert not taken & {folded(name) for name in explained}


def test_every_formula_that_an_explanation_offers_is_one() -> None:
    marked = "write the formula "
    offered = [text.partition(marked)[2].partition(", with")[0] for text in EXPLAINED["activations"].values()]

    for formula in filter(None, offered):
        assert resolve("activations", formula).label == formula


@pytest.mark.parametrize("kind", [*TABLES, "models", "datasets"])
def test_every_name_stands_for_itself_and_no_two_are_spelled_alike(kind: str) -> None:
    valid = names(kind)
    assert [canonical(kind, name, valid) for name in valid] == list(valid)
    assert len({folded(name) for name in valid}) == len(valid)


@pytest.mark.parametrize(
    ("kind", "written", "message"),
    [
        ("activations", "hard_mish", r"write the formula x/2 \* clamp\(x \+ 2, 0, 2\)"),
        ("activations", "SIREN", r"activation \{name: sine, w0: 30\} with weight_init siren"),
        ("activations", "heaviside", "no gradient reaches z through a step"),
        ("activations", "softmax", "an activation here is elementwise"),
        ("weight_inits", "kaiming", r"write kaiming_normal \(he_normal\) or kaiming_uniform"),
        ("weight_inits", "zeros", "equal weights stay equal"),
        ("weight_inits", "kaimin_normal", "did you mean 'kaiming_normal'"),
        ("weight_inits", "glorot_unifrom", "did you mean 'glorot_uniform'"),
        ("activations", "lerlu", "did you mean 'lrelu'"),
    ],
)
def test_a_name_of_other_tools_is_explained_and_never_taken_for_another(kind: str, written: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        resolve(kind, written)
    assert [problem.path for problem in caught.value.problems] == [("name",)]


@pytest.mark.parametrize(
    ("kind", "written", "expected"),
    [
        ("activations", "elu(alpha=0.2)", {"name": "elu", "alpha": 0.2}),
        ("activations", " ELU( alpha = 2e-1 ) ", {"name": "elu", "alpha": 0.2}),
        ("activations", "prelu(per=unit,slope=0.1)", {"name": "prelu", "slope": 0.1, "per": "unit"}),
        ("activations", "swish(learned=True)", {"name": "swish", "learned": True}),
        ("activations", "swish(learned=true)", {"name": "swish", "learned": True}),
        ("models", "mlp(hidden=[24,16])", {"name": "mlp", "hidden": [24, 16]}),
        ("optimizers", "adam(betas=(0.8,0.9))", {"name": "adam", "betas": [0.8, 0.9]}),
        ("datasets", "mnist-5k(train_size=100)", {"name": "mnist-5k", "train_size": 100}),
    ],
)
def test_a_label_that_tables_print_can_be_typed(kind: str, written: str, expected: dict[str, Any]) -> None:
    assert resolve(kind, written) == resolve(kind, expected)


PLAIN = st.floats(1e-30, 1e30)
CHOICES = st.one_of(
    st.builds(lambda a: {"name": "elu", "alpha": a}, PLAIN),
    st.builds(lambda s, sign: {"name": "leaky_relu", "negative_slope": sign * s}, PLAIN, st.sampled_from([-1, 0, 1])),
    st.builds(
        lambda b, flag, per: {"name": "swish", "beta": b, "learned": flag, "per": per},
        PLAIN,
        st.booleans(),
        st.sampled_from(["layer", "unit"]),
    ),
)


@given(CHOICES)
def test_every_label_is_read_back_as_the_same_component(written: dict[str, Any]) -> None:
    component = resolve("activations", written)
    assert resolve("activations", component.label) == component


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("elu(alpha=)", r"can't be read: write elu\(option=value\)"),
        ("elu(0.2)", "'elu' is an activation, not a function of formulas"),
        ("eluu(alpha=0.2)", "unknown activation 'eluu' — did you mean 'elu'"),
        ("elu(alpha=__import__('os'))", "is not a value"),
        ("elu(alpha=-1)", "'alpha' should be greater than 0"),
        ("elu(beta=1)", "unknown key 'beta' — valid for 'elu': alpha"),
        ("max(x", "was never closed"),
        ("elu(alpha=0.2, alpha=0.3)", "gives 'alpha' twice"),
    ],
)
def test_a_label_with_a_mistake_gets_a_message_about_the_mistake(written: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("activations", written)


@pytest.mark.parametrize("name", ["Leaky ReLU (0.3)", "swish1.5", "x * 2", "elu(alpha=0.2)"])
def test_a_path_is_a_path_whatever_its_name(name: str) -> None:
    component = resolve("activations", {"name": name, "path": "parts:gate"})
    assert (component.name, component.label, component.path) == (name, name, "parts:gate")
    assert set(component.options) == {"path"}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("activations", "relu"),
        ("activations", "ReLU"),
        ("models", "mlp"),
        ("datasets", "mnist"),
        ("activations", "lrelu"),
    ],
)
def test_a_users_own_part_may_not_go_by_the_name_of_a_built_in_one(kind: str, name: str) -> None:
    with pytest.raises(ConfigError, match="is built in, and tables could not tell 'torch:tanh' from it"):
        resolve(kind, {"name": name, "path": "torch:tanh"})


@pytest.mark.parametrize(
    ("kind", "written", "key", "message"),
    [
        ("activations", {"name": "elu", "alpha": 1e308}, "alpha", "beyond float32"),
        ("activations", {"name": "leaky_relu", "negative_slope": -1e39}, "negative_slope", "beyond float32"),
        ("activations", {"name": "elu", "alpha": 1e-320}, "alpha", "lost in float32"),
        ("optimizers", {"name": "sgd", "lr": 1e-320}, "lr", "lost in float32"),
        ("optimizers", {"name": "sgd", "lr": 1e39}, "lr", "beyond float32"),
        ("optimizers", {"name": "adam", "betas": [1e-320, 0.9]}, "betas", "lost in float32"),
        ("models", {"name": "mlp", "hidden": [8, 10**9]}, "hidden", "less than or equal to 1000000"),
        ("models", {"name": "cnn", "channels": [[10**9]]}, "channels", "less than or equal to 1000000"),
        ("datasets", {"name": "digits", "train_size": 10**400}, "train_size", "bits is beyond 64 bits"),
    ],
)
def test_a_number_that_torch_can_not_hold_is_refused_by_its_key(
    kind: str, written: dict[str, Any], key: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        resolve(kind, written)
    assert {problem.path[0] for problem in caught.value.problems} == {key}
