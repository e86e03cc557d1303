import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("COLUMNS", None)  # a shell may export it, and it sets the width of every table

import pytest
from forked_commands import Server, forked_commands
from hypothesis import HealthCheck, settings
from processes import remember_this_process

remember_this_process()

collect_ignore = ["support/vandal_import.py"]
"""Not looked through for doctests: to import it changes the settings of the whole process, here of all tests after."""

# How long an example takes depends on what else the machine does, and no test may.
settings.register_profile("any load", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any load")


def pytest_configure(config: pytest.Config) -> None:
    """Give the tests a cache folder of their own: no test depends on, or leaves, what lies in the user's.

    The workers of xdist and every command that a test starts inherit the variable.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        folder = tempfile.mkdtemp(prefix="actbench-tests-")
        os.environ["XDG_CACHE_HOME"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def _heed_signals() -> None:
    """Let no test's command inherit signals that this process ignores, as one in the background or under nohup does.

    A handler in Python is not inherited by a program that is started: there the system's default holds. This process
    itself goes on ignoring them.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


_heed_signals()

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


@pytest.fixture(scope="session")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Starts commands without importing torch for each; one for all tests that ask for it."""
    with forked_commands(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture
def server(forking: Server) -> Iterator[Server]:
    yield forking
    forking.end_what_is_left()
