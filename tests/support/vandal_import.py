"""A user's module that changes the settings of the whole process when it is imported."""

import os

import torch
import vandals

vandals.vandalise()


def act(z: torch.Tensor) -> torch.Tensor:
    return torch.sin(z)


def digits(folder):
    """Fails without the variable that the import has set."""
    assert os.environ["VANDAL"] == "was here"
    return vandals.digits(folder)
