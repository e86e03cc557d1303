"""The configs that come with the installation: where a config is named, ``quickstart`` stands for one of them.

They lie in ``configs/`` of the project, and beside the package once it is installed (pyproject.toml copies them there).
One in a subfolder is named with it: ``claims/bias``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from actbench.errors import UnknownNameError, nearest
from actbench.system.command_line import shown_path
from actbench.system.files import read_file
from actbench.system.shipped_files import shipped_configs, shipped_folder
from actbench.system.text import shell_command

ENDING = ".yaml"

_LIST = "`actbench list configs` lists the shipped ones"


SCHEMA = "schema.json"
"""The file beside the shipped configs by which editors know their keys."""

_MODELINE = "# yaml-language-server: $schema="


def shipped() -> dict[str, Path]:
    """Return name -> file of the shipped configs."""
    return shipped_configs(shipped_folder())


def schema_file() -> Path:
    """Return the JSON Schema of configs that is shipped."""
    return shipped_folder() / SCHEMA


def modeline(place: str) -> str:
    """Return the first line of a config, by which an editor finds the schema.

    Args:
        place: The path of the schema as seen from the config's folder, or its address.
    """
    return f"{_MODELINE}{place}"


def with_modeline(text: str, path: Path) -> str:
    """Return a config's text with the line that leads to the shipped schema from a place of the user's.

    Args:
        text: The config, with such a line at its top or without.
        path: The file that it is for.
    """
    first, _, rest = text.partition("\n")
    schema, folder = schema_file().resolve(), path.absolute().parent.resolve()
    is_within = folder.is_relative_to(schema.parent)
    place = Path(os.path.relpath(schema, folder)).as_posix() if is_within else schema.as_uri()
    own = rest if first.startswith(_MODELINE) else text
    return f"{modeline(place)}\n{own}"


def starter(path: Path) -> str:
    """Return the config that ``actbench init`` writes: every key with its meaning.

    Args:
        path: The file that it is for, which its own comments name in commands.
    """
    text = read_file(Path(__file__).with_name(f"starter{ENDING}")).decode()
    return text.replace("THIS_FILE", shell_command([shown_path(path)]))


def shipped_text(name: str) -> str:
    """Return a shipped config as it is.

    Raises:
        UnknownNameError: When there is none of that name.
    """
    found = shipped()
    if name not in found:
        near = _nearest_shipped(Path(name))
        raise UnknownNameError("config", name, found, meant=[near] if near else ())
    return read_file(found[name]).decode()


def config_file(path: Path, folder: Path = Path()) -> Path:
    """Return the file that a config's path or name stands for, which may not exist.

    That is the file of this very name; else, for a name alone or that of a shipped config in a subfolder, the file
    NAME.yaml, which a user has written; else the shipped config.

    Args:
        path: The path or the name.
        folder: The folder from which it is seen.
    """
    file = folder / path
    if _is_there(file) or path.suffix or not path.name:
        return file
    found = shipped().get(path.as_posix())
    if found is None and path.name != str(path):
        return file
    own = file.with_name(file.name + ENDING)
    return own if _is_there(own) else found or file


def missing_text(path: Path) -> str:
    """Return the message about a config that is not there, with the nearest names of files and shipped configs."""
    if within := [name for name in shipped() if name.startswith(f"{path.as_posix()}/")]:
        return f"no such file, but a folder of shipped configs: name one of {', '.join(within)}"
    files = [other.name for other in path.parent.glob("*.y*ml")]
    near_file = nearest(path.name, files) or nearest(path.name + ENDING, files)
    near_name = _nearest_shipped(path)
    hints = [f"'{path.with_name(near_file)}'"] if near_file else []
    hints += [f"'{near_name}', which is shipped"] if near_name else []
    may_be_shipped = not path.suffix and path.parent in {Path(name).parent for name in shipped()}
    no_name = " and no shipped config" if may_be_shipped else ""
    return f"no such file{no_name} — " + (f"did you mean {' or '.join(hints)}? {_LIST}" if hints else _LIST)


def summary(path: Path) -> str:
    """Return the first sentence of a shipped config, and how long it takes: both stand in comments at its top."""
    lines = [line for line in read_file(path).decode().splitlines() if line.startswith("#")]
    lines = [line[1:].strip() for line in lines if not line.startswith(_MODELINE)]
    text = " ".join(lines)
    about, takes = text.partition("Takes:")[0].strip(), re.search(r"Takes: ([^(.]*[^(. ])", text)
    sentence = re.match(r".*?(?=\.(\s|$))", about)
    return f"{sentence[0] if sentence else about} ({takes[1] if takes else 'how long is not known'})"


def _nearest_shipped(path: Path) -> str | None:
    """Return the shipped config whose name without its subfolder is nearest to a path's; or None.

    Subfolders don't count as likeness, which they would give to all their configs; of the same name, the one in the
    path's own folder is meant, else the first.
    """
    by_stem: dict[str, str] = {}
    for name in sorted(shipped(), key=lambda name: Path(name).parent != path.parent):
        by_stem.setdefault(Path(name).name, name)
    stem = path.stem if path.stem in by_stem else nearest(path.stem, by_stem)
    return by_stem[stem] if stem else None


def _is_there(path: Path) -> bool:
    """Return whether there is something to read, which may be a pipe; a folder of that name is not."""
    return os.path.exists(path) and not os.path.isdir(path)
