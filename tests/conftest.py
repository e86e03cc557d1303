import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from processes import remember_this_process

remember_this_process()

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datasets are decoded into it once for all tests of a file."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def mnist_folder(data_folder: Path) -> Path:
    """The full MNIST, where it is at hand: not part of the project. A link to it, so that its folder stays as it is."""
    images = Path(os.environ.get("ACTBENCH_DATA", SHARED)) / "MNIST"
    if not (images / "raw").is_dir():
        pytest.skip("full MNIST is not at hand (set ACTBENCH_DATA)")
    if not (data_folder / "MNIST").exists():
        (data_folder / "MNIST").symlink_to(images.resolve())
    return data_folder
