"""The folder of configs, with their schema, that comes with the installation."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_ENDING = ".yaml"


def shipped_folder() -> Path:
    """Return ``configs`` beside the modules of an installed package, or else that of the project."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def shipped_configs(folder: Path) -> dict[str, Path]:
    """Return name -> file of the configs in a folder and below it: ``quickstart``, ``claims/bias``.

    Those of the folder itself stand first, then those of one subfolder after another.
    """
    names = {path.relative_to(folder).as_posix().removesuffix(_ENDING): path for path in folder.rglob(f"*{_ENDING}")}
    return {name: names[name] for name in sorted(names, key=lambda name: name.rpartition("/"))}
