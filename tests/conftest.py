import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datasets are decoded into it once for all tests of a file."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def mnist_folder() -> Path:
    """The full MNIST, where it is at hand: not part of the project."""
    folder = Path(os.environ.get("ACTBENCH_DATA", SHARED))
    if not (folder / "MNIST" / "raw").is_dir():
        pytest.skip("full MNIST is not at hand (set ACTBENCH_DATA)")
    return folder
