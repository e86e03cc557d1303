"""Read how a study's runs are to be compared from its config, which is kept beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from actbench.config import Compare
from actbench.config.cases import CaseNames
from actbench.config.design import Design
from actbench.config.hypotheses import parse_expectation
from actbench.config.nodes import read
from actbench.config.places import SourceText
from actbench.errors import ConfigError, Problem, UsageError
from actbench.schema.spec import RunSpec
from actbench.system.files import read_file


def comparison_settings(study: Path, warnings: list[str]) -> Mapping[str, Any]:
    """Return a config's ``baseline``, ``metric``, ``two_stage``, ``tune``, ``zip`` (keys), ``cases`` and ``expect``.

    ``cases`` is a ``CaseNames``, which finds a run's case.

    What can't be used is left out with a warning: the runs can be compared without it.

    Args:
        study: The study's folder.
        warnings: A warning is added for each part that is left out.
    """
    try:
        content = read(SourceText("study.yaml", read_file(study / "study.yaml").decode())).content
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        warnings.append(f"{study.name}/study.yaml: unreadable, so its baseline and metric are unknown")
        return {}
    if not isinstance(content, dict):
        return {}
    found = dict(_compare_section(content.get("compare"), study.name, warnings))
    found |= _tune(content, study.name, warnings)
    found |= _zip(content, study.name, warnings)
    found |= _cases(content, study.name, warnings)
    expectations = list(_expectations(content.get("expect"), study.name, warnings))
    return {**found, "expect": expectations} if expectations else found


def with_case(spec: RunSpec, settings: Mapping[str, Any]) -> RunSpec:
    """Return a run with its case, if the study that these settings are of has cases."""
    names: CaseNames | None = settings.get("cases")
    return spec if names is None else names.named(spec)


def reason(error: Exception) -> str:
    """Spell an error in one line, without the machine's own paths, so that copied results give equal warnings."""
    if isinstance(error, json.JSONDecodeError):
        return "its JSON is incomplete or malformed"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        problem = cause.problems[0] if isinstance(cause, ConfigError) else Problem(first["msg"])
        return str(problem.below(first["loc"]))
    return str(getattr(error, "strerror", None) or error)


def _compare_section(section: Any, study: str, warnings: list[str]) -> Iterator[tuple[str, Any]]:
    if not isinstance(section, dict):
        return
    for key in sorted(section.keys() & {"baseline", "metric", "two_stage"}):
        try:
            checked = Compare.model_validate({key: section[key]})
            yield key, checked.two_stage if key == "two_stage" else section[key]
        except ValidationError as error:
            warnings.append(f"{study}/study.yaml: compare.{key} is ignored, {reason(error)}")


def _tune(content: Mapping[str, Any], study: str, warnings: list[str]) -> dict[str, Any]:
    try:
        return {"tune": Design.model_validate({"tune": content["tune"]}).tune} if "tune" in content else {}
    except ValidationError as error:
        warnings.append(f"{study}/study.yaml: tune is ignored, {reason(error)}")
        return {}


def _zip(content: Mapping[str, Any], study: str, warnings: list[str]) -> dict[str, Any]:
    """Return the keys that change in step."""
    try:
        return {"zip": tuple(Design.model_validate({"zip": content["zip"]}).zip)} if "zip" in content else {}
    except ValidationError as error:
        warnings.append(f"{study}/study.yaml: zip is ignored, {reason(error)}")
        return {}


def _cases(content: Mapping[str, Any], study: str, warnings: list[str]) -> dict[str, Any]:
    """Return what finds the case of a run."""
    try:
        names = CaseNames.of(content)
    except ValidationError as error:
        warnings.append(f"{study}/study.yaml: cases are ignored, {reason(error)}")
        return {}
    return {} if names is None else {"cases": names}


def _expectations(texts: Any, study: str, warnings: list[str]) -> Iterator[str]:
    for text in texts if isinstance(texts, list) else ():
        try:
            parse_expectation(str(text))
            yield str(text)
        except UsageError as error:
            warnings.append(f"{study}/study.yaml: an expectation is ignored, {error}")
