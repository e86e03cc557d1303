"""A run's identity: digests that results on other people's disks are found by."""

from __future__ import annotations

import pickle

import pytest

from actbench.schema.spec import SEMANTICS_VERSION, RunSpec

RICH = {
    "dataset": {"name": "mnist", "train_size": 1000},
    "model": {"name": "cnn", "channels": [[8, 8], 16], "batch_norm": True, "dropout": 0.25},
    "activation": {"name": "elu", "alpha": 0.2},
    "weight_init": {"name": "orthogonal", "gain": 2},
    "bias_init": None,
    "training": {
        "epochs": 3,
        "batch_size": 64,
        "optimizer": {"name": "adamw", "lr": 3e-4, "betas": [0.8, 0.99]},
        "schedule": {"name": "cosine", "warmup_epochs": 0.5},
        "decay": "weights",
        "clip_norm": 1,
        "augment": {"crop": 2, "flip": True},
        "precision": "float64",
    },
    "health": {"probe_size": 500, "dead_slope": 1e-4},
    "seed": 7,
}


# Never just paste new digests here. A digest that changes means that stored results are no longer found as finished: if
# a default or the meaning of a field changed, raise SEMANTICS_VERSION with it; if nothing did, the change is a bug.
@pytest.mark.parametrize(
    ("spec", "digest"),
    [
        (RunSpec(), "cb0c2df4d77dbac728e13010d36b7390ab297afe3f9f1d5dceb8e1a8f9caedb5"),
        (
            RunSpec(activation="x * sigmoid(1.702 * x)"),
            "10a73e66074459a2b8795ee45b988ff3663516f68f6c6fa0972ec73576a0e7ff",
        ),
        (RunSpec.model_validate(RICH), "140909028c1628bd32281edccc0c0c1a058830f8944d98c8e8f6503dd403c5b7"),
    ],
    ids=["defaults", "formula", "rich"],
)
def test_digests_stay_what_they_were(spec: RunSpec, digest: str) -> None:
    assert SEMANTICS_VERSION == 1
    assert spec.digest == digest


def test_a_default_that_is_spelled_out_changes_no_digest() -> None:
    assert RunSpec.model_validate(RunSpec().to_json()).digest == RunSpec().digest


@pytest.mark.parametrize("seed", [0, 3, 7])
def test_the_same_run_from_another_seed_is_what_validation_would_have_made(seed: int) -> None:
    one = RunSpec.model_validate(RICH)
    assert one.digest, "a digest that is known already must not be handed on"

    other = one.with_seed(seed)

    wanted = RunSpec.model_validate({**RICH, "seed": seed})
    assert other == wanted
    assert (other.digest, other.run_id, other.cohort_key) == (wanted.digest, wanted.run_id, wanted.cohort_key)
    assert other.to_json() == wanted.to_json()
    assert pickle.loads(pickle.dumps(other)) == wanted


def test_every_setting_changes_the_digest() -> None:
    changed = [RunSpec.model_validate({key: value}).digest for key, value in RICH.items()]

    assert len({RunSpec().digest, *changed}) == 1 + len(RICH)
