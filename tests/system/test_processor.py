"""A processor's core, features and caches, read from what Linux writes about real ones."""

from pathlib import Path

import pytest

from actbench.system import devices
from actbench.system.processor import Processor, read_caches, read_processor

GENOA = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
stepping\t: 1
cache size\t: 1024 KB
fpu_exception\t: yes
flags\t\t: fpu sse2 ssse3 fma avx f16c avx2 bmi2 avx512f avx512dq avx512bw avx512_bf16 avx512_vnni
bugs\t\t: sysret_ss_attrs null_seg
power management:

processor\t: 1
vendor_id\t: AuthenticAMD
cpu family\t: 99
model\t\t: 99
model name\t: another
"""
MILAN = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC 7B13
stepping\t: 0
flags\t\t: fpu sse2 avx avx2 bmi2
"""
SAPPHIRE_RAPIDS = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
stepping\t: 8
flags\t\t: fpu avx avx2 avx512f avx512_bf16 amx_bf16 avx512_fp16 amx_tile amx_int8
"""
CASCADE_LAKE = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz
stepping\t: 7
flags\t\t: fpu avx avx2 avx512f avx512dq avx512_vnni
"""
GRAVITON_3 = """\
processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd evtstrm aes sve asimdfhm i8mm bf16 dgh rng
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd40
CPU revision\t: 1
"""


@pytest.mark.parametrize(
    ("text", "label", "features"),
    [
        (GENOA, "AMD EPYC (Zen 4, Genoa)", ("avx2", "avx512f", "avx512_bf16")),
        (MILAN, "AMD EPYC 7B13 (Zen 3, Milan)", ("avx2",)),
        (
            SAPPHIRE_RAPIDS,
            "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz (Sapphire Rapids)",
            ("avx2", "avx512f", "avx512_bf16", "amx_bf16"),
        ),
        (CASCADE_LAKE, "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz (Cascade Lake)", ("avx2", "avx512f")),
        (GRAVITON_3, "Neoverse V1", ("sve", "bf16")),
    ],
)
def test_a_processor_is_named_with_its_core_and_features(text: str, label: str, features: tuple[str, ...]) -> None:
    found = read_processor(text, otherwise="x86_64")

    assert (found.label, found.features) == (label, features)


@pytest.mark.parametrize(
    ("model", "stepping", "core"),
    [
        ("85", "4", "Skylake"),
        ("85", "11", "Cooper Lake"),
        ("85", "unknown", "Skylake, Cascade Lake or Cooper Lake"),
        ("207", "2", "Emerald Rapids"),
        ("106", "6", "Ice Lake"),
    ],
)
def test_intel_s_generations_are_told_apart(model: str, stepping: str, core: str) -> None:
    text = CASCADE_LAKE.replace("model\t\t: 85", f"model\t\t: {model}")

    found = read_processor(text.replace("stepping\t: 7", f"stepping\t: {stepping}"), otherwise="x86_64")

    assert found.core == core


def test_zen_5_has_a_family_of_its_own() -> None:
    text = GENOA.replace("cpu family\t: 25", "cpu family\t: 26").replace("model\t\t: 17", "model\t\t: 2")

    assert read_processor(text, otherwise="x86_64").label == "AMD EPYC (Zen 5, Turin)"


def test_an_unknown_processor_is_named_by_its_numbers() -> None:
    text = GENOA.replace("cpu family\t: 25", "cpu family\t: 27")

    found = read_processor(text, otherwise="x86_64")

    assert (found.label, found.family, found.model) == ("AMD EPYC (family 27 model 17)", 27, 17)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("", "arm64"),
        ("nonsense", "arm64"),
        ("processor\t: 0\nmodel name\t: Some CPU", "Some CPU"),
        ("processor\t: 0\nCPU implementer\t: 0x99\nCPU part\t: 0x001", "arm64"),
        ("cpu family\t: old\nmodel name\t: Some CPU", "Some CPU"),
    ],
)
def test_where_the_text_tells_little_the_name_is_what_is_left(text: str, label: str) -> None:
    assert read_processor(text, otherwise="arm64").label == label


def test_caches_are_read_by_level_without_those_for_instructions(tmp_path: Path) -> None:
    described = [
        ("1", "Data", "32K"),
        ("1", "Instruction", "32K"),
        ("2", "Unified", "1024K"),
        ("3", "Unified", "32768K"),
    ]
    for number, facts in enumerate(described):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, content in zip(("level", "type", "size"), facts, strict=True):
            (folder / name).write_text(f"{content}\n")
    (tmp_path / "index4").mkdir()  # nothing in it
    found = read_caches(tmp_path)

    assert found == {2: 2**20, 3: 2**25}
    assert read_caches(tmp_path / "absent") == {}
    described_as = Processor("AMD EPYC", core="Zen 4, Genoa", features=("avx2", "avx512f"), cache_bytes=found)
    assert described_as.description == "AMD EPYC (Zen 4, Genoa), avx2 avx512f, L2 1 MiB, L3 32 MiB"
    assert described_as.to_json()["cache_bytes"] == {"L2": 2**20, "L3": 2**25}


def test_this_machine_s_processor_has_a_name() -> None:
    found = devices.this_processor()

    assert found.name
    assert devices.processor_name() == found.label
