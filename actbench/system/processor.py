"""Name a processor's core and the features that decide how fast products are, from what Linux reports about it.

A cloud calls processors of different generations by one name, such as ``AMD EPYC``; family and model tell them apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

AMD, INTEL = "AuthenticAMD", "GenuineIntel"

CORES: Mapping[tuple[str, int, int], str] = {
    (AMD, 23, 1): "Zen, Naples",
    (AMD, 23, 8): "Zen+",
    (AMD, 23, 49): "Zen 2, Rome",
    (AMD, 23, 96): "Zen 2",
    (AMD, 23, 113): "Zen 2",
    (AMD, 25, 1): "Zen 3, Milan",
    (AMD, 25, 33): "Zen 3",
    (AMD, 25, 68): "Zen 3+",
    (AMD, 25, 80): "Zen 3",
    (AMD, 25, 17): "Zen 4, Genoa",
    (AMD, 25, 24): "Zen 4",
    (AMD, 25, 97): "Zen 4",
    (AMD, 25, 116): "Zen 4",
    (AMD, 25, 160): "Zen 4c, Bergamo",
    (AMD, 26, 2): "Zen 5, Turin",
    (AMD, 26, 17): "Zen 5c, Turin Dense",
    (AMD, 26, 36): "Zen 5",
    (AMD, 26, 68): "Zen 5",
    (INTEL, 6, 63): "Haswell",
    (INTEL, 6, 79): "Broadwell",
    (INTEL, 6, 94): "Skylake",
    (INTEL, 6, 158): "Kaby Lake or Coffee Lake",
    (INTEL, 6, 106): "Ice Lake",
    (INTEL, 6, 108): "Ice Lake",
    (INTEL, 6, 140): "Tiger Lake",
    (INTEL, 6, 151): "Alder Lake",
    (INTEL, 6, 154): "Alder Lake",
    (INTEL, 6, 183): "Raptor Lake",
    (INTEL, 6, 143): "Sapphire Rapids",
    (INTEL, 6, 207): "Emerald Rapids",
    (INTEL, 6, 173): "Granite Rapids",
}
"""(vendor, family, model) -> core, as the kernel's tables of AMD's and Intel's models name them."""

SKYLAKE_SERVER = (INTEL, 6, 85)
"""Intel gave this model number to three generations; the stepping tells which: below 5, from 5 on, from 10 on."""

ARM_CORES: Mapping[tuple[int, int], str] = {
    (0x41, 0xD0C): "Neoverse N1",
    (0x41, 0xD40): "Neoverse V1",
    (0x41, 0xD49): "Neoverse N2",
    (0x41, 0xD4F): "Neoverse V2",
}
"""(implementer, part) -> core."""

FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "sve", "bf16")
"""Instructions that products of float32 and bfloat16 are made of; the last two are ARM's."""


@dataclass(frozen=True)
class Processor:
    """What is known about a processor.

    Args:
        name: As the system reports it.
        vendor: As the processor reports it; empty where unknown.
        family: Its number in the vendor's count; None where unknown.
        model: Likewise, within the family.
        core: The name of its core, such as ``Zen 4, Genoa``; empty where it is not in the tables.
        features: Those of ``FEATURES`` that it has.
        cache_bytes: Level -> bytes of the first core's cache of that level, from level 2 on.
    """

    name: str
    vendor: str = ""
    family: int | None = None
    model: int | None = None
    core: str = ""
    features: tuple[str, ...] = ()
    cache_bytes: Mapping[int, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name with its core, or with its numbers where the core's name is unknown.

        >>> Processor("AMD EPYC", core="Zen 4, Genoa").label
        'AMD EPYC (Zen 4, Genoa)'
        >>> Processor("AMD EPYC", family=27, model=1).label
        'AMD EPYC (family 27 model 1)'
        """
        numbers = "" if self.family is None else f"family {self.family} model {self.model}"
        added = self.core or numbers
        return f"{self.name} ({added})" if added and added != self.name else self.name

    @property
    def description(self) -> str:
        """Label, features and caches in one line.

        >>> Processor("AMD EPYC", core="Zen 4, Genoa", features=("avx2",), cache_bytes={2: 2**20}).description
        'AMD EPYC (Zen 4, Genoa), avx2, L2 1 MiB'
        """
        caches = (f"L{level} {_size(count)}" for level, count in sorted(self.cache_bytes.items()))
        return ", ".join([self.label, *([" ".join(self.features)] if self.features else []), *caches])

    def to_json(self) -> dict[str, Any]:
        """Return all facts for JSON, where a level of cache is a text."""
        return {**asdict(self), "cache_bytes": {f"L{level}": count for level, count in self.cache_bytes.items()}}


def read_processor(cpuinfo: str, *, otherwise: str) -> Processor:
    """Return the facts that the text of ``/proc/cpuinfo`` holds about its first processor.

    Args:
        cpuinfo: The text; empty where a system has no such file.
        otherwise: The name where the text gives none.
    """
    facts = dict(re.findall(r"^([^:\n]*?)[ \t]*: ?(.*?)[ \t]*$", cpuinfo.strip().partition("\n\n")[0], re.MULTILINE))
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    features = tuple(one for one in FEATURES if one in flags)
    if "CPU part" in facts:  # ARM
        implementer, part = _number(facts.get("CPU implementer")), _number(facts["CPU part"])
        core = "" if implementer is None or part is None else ARM_CORES.get((implementer, part), "")
        return Processor(facts.get("model name") or core or otherwise, core=core, features=features)
    vendor, family, model = facts.get("vendor_id", ""), _number(facts.get("cpu family")), _number(facts.get("model"))
    name = facts.get("model name") or otherwise
    if family is None or model is None:
        return Processor(name, vendor, features=features)
    core = _core(vendor, family, model, _number(facts.get("stepping")))
    return Processor(name, vendor, family, model, core, features)


def read_caches(folder: Path) -> dict[int, int]:
    """Return each cache level's bytes, as Linux describes them in ``folder``; empty where there is no such folder."""
    found = {}
    for index in sorted(folder.glob("index*")):
        try:
            level, kind, size = ((index / name).read_text("utf-8").strip() for name in ("level", "type", "size"))
        except OSError:  # a virtual machine may hide some
            continue
        kibibytes = re.fullmatch(r"(\d+)K", size)
        if kind == "Unified" and kibibytes and level.isdigit():
            found[int(level)] = 1024 * int(kibibytes[1])
    return found


def _core(vendor: str, family: int, model: int, stepping: int | None) -> str:
    if (vendor, family, model) != SKYLAKE_SERVER:
        return CORES.get((vendor, family, model), "")
    if stepping is None:
        return "Skylake, Cascade Lake or Cooper Lake"
    return "Skylake" if stepping < 5 else "Cascade Lake" if stepping < 10 else "Cooper Lake"


def _number(text: str | None) -> int | None:
    """Return a number written as 17 or 0xd0c; None for any other text."""
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        return None


def _size(count: int) -> str:
    return f"{count / 2**20:g} MiB" if count >= 2**20 else f"{count / 1024:g} KiB"
