"""Which words may stand where the cursor is, from the commands themselves and the words before it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from actbench.completion import schema_keys, stored
from actbench.completion.commands import Command, Parameter, Program
from actbench.completion.shells import Candidate, TypedLine
from actbench.system.shipped_files import shipped_configs, shipped_folder

CONFIG_ENDINGS = (".yaml", ".yml")
PACKED_ENDINGS = (".zip", ".tar.xz")
"""Those of packed studies; ``system.packed``, which reads them, would cost a fifth of the time that a TAB has."""

OUTCOMES = ("diverged", "failed", "collapsed", "ok", "unfinished", "expect")


@dataclass(frozen=True)
class Place:
    """The parameter whose value is being typed, and what was given before.

    Args:
        program: The program's commands.
        parameter: The option or argument; None where there is none.
        typed: The part of its value that is typed.
        given: Parameter -> the values before.
    """

    program: Program
    parameter: Parameter | None
    typed: str
    given: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        """The results folder that is named, or the usual one."""
        return Path(os.path.expanduser((self.given.get("results") or ["results"])[-1]))

    @property
    def paths(self) -> list[Path]:
        """The stored results that are named; a study may be named without its folder."""
        named = [Path(os.path.expanduser(text)) for text in self.given.get("paths", ())] or [self.results]
        return [path if path.exists() else self.results / path for path in named]


def candidates(program: Program, line: TypedLine) -> list[Candidate]:
    """Return the words that may stand at the cursor and begin as what is typed, each once.

    A file whose name would move the cursor, or break a line, is none of them.

    Args:
        program: The group of commands.
        line: The words before the cursor.
    """
    found = dict.fromkeys(one for one in _all(program, line) if one.word.startswith(line.word))
    return [one for one in found if one.word.isprintable()]


def _all(program: Program, line: TypedLine) -> Iterator[Candidate]:
    words = list(line.before)
    while words and words[0].startswith("-"):  # the program's own options take no value
        words.pop(0)
    if not words:
        yield from _options(program.own) if line.word.startswith("-") else _commands(program)
        return
    command = program.commands.get(words[0])
    if command is None:
        return
    place, prefix = _place(program, command, words[1:], line.word)
    if place.parameter is not None:
        for one in _values_at(place, place.parameter):
            yield Candidate(prefix + one.word, one.text)
    elif line.word.startswith("-"):
        yield from _options(command, place.given)


def _commands(program: Program) -> Iterator[Candidate]:
    return (Candidate(name, command.text) for name, command in program.commands.items())


def _options(command: Command, given: Mapping[str, Sequence[str]] | None = None) -> Iterator[Candidate]:
    for option in command.parameters:
        if option.is_option and (option.is_repeated or option.name not in (given or {})):
            long = [name for name in option.names if name.startswith("--")]
            yield from (Candidate(name, option.text) for name in long or option.names)
    yield Candidate("--help", "Show this message and exit.")


def _place(program: Program, command: Command, words: Sequence[str], current: str) -> tuple[Place, str]:
    """Return the parameter at the cursor, and the part of the current word in front of its value."""
    by_name = {name: one for one in command.parameters for name in one.names}
    arguments = [one for one in command.parameters if not one.is_option]
    given: dict[str, list[str]] = {}
    positions, is_literal = 0, False
    waiting: Parameter | None = None
    for word in words:
        option, value = (None, None) if is_literal else _option_of(word, by_name)
        if waiting is not None:
            given.setdefault(waiting.name, []).append(word)
            waiting = None
        elif word == "--" and not is_literal:
            is_literal = True
        elif option is not None:
            given.setdefault(option.name, []).extend([] if value is None else [value])
            waiting = option if value is None and not option.is_flag else None
        elif is_literal or not word.startswith("-"):
            if argument := _argument(arguments, positions):
                given.setdefault(argument.name, []).append(word)
            positions += 1
    if waiting is not None:
        return Place(program, waiting, current, given), ""
    option, value = (None, None) if is_literal else _option_of(current, by_name)
    if option is not None and value is not None:
        return Place(program, option, value, given), current[: len(current) - len(value)]
    is_option = current.startswith("-") and not is_literal
    return Place(program, None if is_option else _argument(arguments, positions), current, given), ""


def _argument(arguments: Sequence[Parameter], position: int) -> Parameter | None:
    """Return the argument that the word at a position is for; the last one may take all that follow."""
    if position < len(arguments):
        return arguments[position]
    return arguments[-1] if arguments and arguments[-1].is_repeated else None


def _option_of(word: str, by_name: Mapping[str, Parameter]) -> tuple[Parameter | None, str | None]:
    """Return the option that a word names, and the value in the same word: ``--metric=x``, ``-j4``."""
    name, equals, value = word.partition("=")
    if word.startswith("--"):
        return by_name.get(name), value if equals else None
    if word.startswith("-") and word[:2] in by_name:
        return by_name[word[:2]], word[2:] or None
    return None, None


def _values_at(place: Place, parameter: Parameter) -> Iterable[Candidate]:
    if parameter.choices:
        return map(Candidate, parameter.choices)
    if parameter.name in VALUES:
        return VALUES[parameter.name](place)
    metavar = parameter.metavar
    if "|" in metavar:
        return [Candidate(one) for one in metavar.split("|") if one.islower() or one.isdigit()]
    if metavar == "DIR":
        return files(place.typed, ())
    return files(place.typed) if metavar in ("FILE", "PATH", "BASE") else ()


def files(text: str, endings: Sequence[str] | None = None) -> list[Candidate]:
    """Return the files and folders that begin as a text.

    Args:
        text: A path, whose last part may be incomplete.
        endings: Only files that end so, besides folders; None for all files.
    """
    above, _, last = text.rpartition("/")
    above = f"{above}/" if "/" in text else ""
    found = []
    try:
        with os.scandir(os.path.expanduser(above) or ".") as entries:
            for entry in entries:
                if entry.name.startswith(last) and (last.startswith(".") or not entry.name.startswith(".")):
                    if entry.is_dir():
                        found.append(Candidate(f"{above}{entry.name}/"))
                    elif endings is None or entry.name.endswith(tuple(endings) or "\0"):
                        found.append(Candidate(f"{above}{entry.name}"))
    except OSError:
        return []
    return sorted(found, key=lambda one: one.word)


def _configs(place: Place) -> Iterator[Candidate]:
    yield from files(place.typed, CONFIG_ENDINGS)
    yield from _shipped(place)


def _shipped(place: Place) -> Iterator[Candidate]:
    yield from (Candidate(name, "a shipped config") for name in shipped_configs(shipped_folder()))


def _results(place: Place) -> Iterator[Candidate]:
    yield from (Candidate(name, "a study") for name in stored.studies(place.results))
    yield from files(place.typed, PACKED_ENDINGS)


def _runs(place: Place) -> Iterator[Candidate]:
    yield from (Candidate(name, "a run") for name in stored.run_ids(place.results))
    yield from files(place.typed) if "/" in place.typed else ()


def _shown(place: Place) -> Iterator[Candidate]:
    if "theory" in place.given:
        yield from _settings(place)
        return
    yield from schema_keys.names("activations")
    yield from (Candidate(name, "a study") for name in stored.studies(place.results))
    yield from _runs(place)


def _settings(place: Place) -> Iterator[Candidate]:
    """Yield ``KEY=`` and, behind one, its values: further ones behind a comma."""
    key, equals, value = place.typed.partition("=")
    if equals and key in (stored.CASE, f"{schema_keys.BASELINE}{stored.CASE}"):
        yield from _listed(value, map(Candidate, _cases_of_config(place)), before=f"{key}=")
        return
    if equals:
        yield from _listed(value, schema_keys.values(key.removeprefix(schema_keys.BASELINE)), before=f"{key}=")
        return
    yield from schema_keys.settable_keys()
    if f"{stored.CASE}=".startswith(key) and _cases_of_config(place):
        yield Candidate(f"{stored.CASE}=", "keep these of the config's cases")
    if key.startswith(schema_keys.BASELINE):
        yield from (Candidate(f"{schema_keys.BASELINE}{one.word}=", one.text) for one in schema_keys.factors())


def _cases_of_config(place: Place) -> list[str]:
    """Return the names of the cases of the config that is named, a file or a shipped one."""
    for text in place.given.get("config", ())[-1:]:
        file = Path(os.path.expanduser(text))
        found = file if file.is_file() else shipped_configs(shipped_folder()).get(text, file)
        return stored.cases_of(found)
    return []


def _cells(place: Place) -> Iterator[Candidate]:
    """Yield ``FACTOR=VALUE`` of the stored runs, several between commas."""
    factors = stored.factor_values(place.paths)
    head, comma, last = _last_piece(place.typed)
    key, equals, _ = last.partition("=")
    before = head + comma
    if equals:
        known = factors.get(key) or [one.word for one in schema_keys.values(key)]
        yield from (Candidate(f"{before}{key}={value}") for value in known)
    else:
        used = {piece.partition("=")[0] for piece in head.split(",")}
        meaning = {one.word: one.text for one in schema_keys.factors()}
        yield from (Candidate(f"{before}{name}=", meaning.get(name, "")) for name in factors if name not in used)


def _factors(place: Place) -> Iterator[Candidate]:
    found = stored.factor_values(place.paths)
    meaning = {one.word: one.text for one in schema_keys.factors()}
    yield from _listed(place.typed, [Candidate(name, meaning.get(name, "")) for name in found])


def _sort_keys(place: Place) -> Iterator[Candidate]:
    sign = "-" if place.typed.startswith("-") else ""
    for one in (*_factors(Place(place.program, place.parameter, "", place.given)), *schema_keys.names("metrics")):
        yield Candidate(f"{sign}{one.word}", one.text)


def _metrics(place: Place) -> Iterator[Candidate]:
    return _listed(place.typed, schema_keys.names("metrics"))


def _conditions(place: Place) -> Iterator[Candidate]:
    yield from schema_keys.names("metrics")
    if place.parameter is not None and place.parameter.name == "fail_if":
        yield from (Candidate(name, "runs that ended so") for name in OUTCOMES)


def _listed(text: str, known: Iterable[Candidate], before: str = "") -> Iterator[Candidate]:
    """Yield names for the last part of a comma list, without those that stand in it."""
    head, comma, _ = _last_piece(text)
    used = head.split(",")
    for one in known:
        if one.word not in used:
            yield Candidate(f"{before}{head}{comma}{one.word}", one.text)


def _last_piece(text: str) -> tuple[str, str, str]:
    """Split a comma list before its last part; commas within brackets separate nothing."""
    depth, cut = 0, -1
    for index, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            cut = index
    return (text[:cut], ",", text[cut + 1 :]) if cut >= 0 else ("", "", text)


def _activations(place: Place) -> Iterable[Candidate]:
    return schema_keys.names("activations")


def _cluster(place: Place) -> Iterator[Candidate]:
    """Yield the keys of the engine that is named, or of each; and files, which may hold them."""
    known = place.parameter.keys if place.parameter else {}
    engines = place.given.get("engine", ())[-1:] or known
    keys = {key: text for engine in engines for key, text in known.get(engine, {}).items()}
    yield from (Candidate(f"{key}=", text) for key, text in keys.items())
    yield from files(place.typed)


def _registered(kind: str) -> Callable[[Place], Iterator[Candidate]]:
    def names(place: Place) -> Iterator[Candidate]:
        from actbench.schema import registry

        return _listed(place.typed, map(Candidate, registry.names(kind)))

    return names


def _helped(place: Place) -> Iterator[Candidate]:
    yield from _commands(place.program)
    yield Candidate("environment", "the variables that stand for options")


def _words(place: Place) -> Iterator[Candidate]:
    from actbench.schema.words import WORDS

    yield from map(Candidate, WORDS)
    yield from schema_keys.names("metrics")
    yield from (Candidate(one.word.removesuffix("="), one.text) for one in schema_keys.settable_keys())


def _of(*names: str) -> Callable[[Place], Iterator[Candidate]]:
    return lambda place: map(Candidate, names)


VALUES: Mapping[str, Callable[[Place], Iterable[Candidate]]] = {
    "config": _configs,
    "configs": _configs,
    "theory": _configs,
    "source": _shipped,
    "overrides": _settings,
    "paths": _results,
    "path": _results,
    "study": _results,
    "against": _results,
    "names": _shown,
    "first": _runs,
    "second": _runs,
    "by": _factors,
    "tune": _factors,
    "baseline": _cells,
    "where": _cells,
    "sort": _sort_keys,
    "metric": _metrics,
    "fail_if": _conditions,
    "until": _conditions,
    "form": _registered("reports"),
    "charts": _registered("charts"),
    "exporter": _registered("exporters"),
    "engine": _registered("engines"),
    "cluster": _cluster,
    "style": _of("paper", "slides", "screen"),
    "device": _of("auto", "cpu", "cuda", "mps"),
    "jobs": _of("auto"),
    "name": _helped,
    "words": _words,
    "activations": _activations,
}
"""Parameter -> what may stand there; for one that is not listed, its choices or its metavar decide."""
