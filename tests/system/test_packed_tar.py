"""A tar.xz file that may do harm, or is damaged, is refused by one error before anything of it is used."""

from __future__ import annotations

import io
import lzma
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from commands import in_this_process

from actbench.errors import ResultsError
from actbench.storage.reading import read_results
from actbench.system.files import read_file
from actbench.system.packed import packed_part
from actbench.system.packed_reader import ALWAYS_ALLOWED, PackedError
from actbench.system.packed_tar import MAX_RATIO

GOOD = {"demo/study.yaml": b"study: demo\n", "demo/runs/x/spec.json": b"{}"}


def header(name: str, **fields: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(entry, key, value)
    return entry


def tar(files: Mapping[str, bytes] = GOOD, further: Sequence[tarfile.TarInfo] = ()) -> bytes:
    """Return an uncompressed tar file: files, then headers without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            archive.addfile(header(name, size=len(content)), io.BytesIO(content))
        for entry in further:
            archive.addfile(entry)
    return buffer.getvalue()


def refused(path: Path, content: bytes) -> str:
    """Return why a file with this content is refused."""
    path.write_bytes(content)
    with pytest.raises(PackedError) as found:
        packed_part(path)
    with pytest.raises(ResultsError, match="neither a folder nor a packed study"):
        read_results(path)
    return str(found.value.strerror)


def test_a_good_one_is_read(tmp_path: Path) -> None:
    """So that what is refused below is refused for what is wrong with it."""
    path = tmp_path / "good.tar.xz"
    path.write_bytes(lzma.compress(tar()))
    assert read_file(path / "demo/study.yaml") == b"study: demo\n"
    with pytest.raises(FileNotFoundError):
        read_file(path / "demo/other.yaml")


@pytest.mark.parametrize("name", ["../../evil.txt", "/etc/passwd", "C:/x", "demo/../x", "demo//x", "demo\\x", ".."])
def test_a_name_that_leads_out_of_it(tmp_path: Path, name: str) -> None:
    why = refused(tmp_path / "x.tar.xz", lzma.compress(tar({**GOOD, name: b""})))
    assert why.startswith("a name in it leads out of it")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.CONTTYPE]
)
def test_a_link_a_pipe_or_a_device(tmp_path: Path, kind: bytes) -> None:
    entry = header("demo/runs/x/result.json", type=kind, linkname="/etc/passwd")
    why = refused(tmp_path / "x.tar.xz", lzma.compress(tar(further=[entry])))
    assert why == "a file in it is a link, or no file: 'demo/runs/x/result.json'"


def test_a_name_that_stands_in_it_twice(tmp_path: Path) -> None:
    twice = [header("demo/runs/x/result.json"), header("./demo/runs/x/result.json")]
    assert "stands in it twice" in refused(tmp_path / "x.tar.xz", lzma.compress(tar(further=twice)))


def test_one_that_holds_no_study(tmp_path: Path) -> None:
    assert "no study" in refused(tmp_path / "x.tar.xz", lzma.compress(tar({"photos/1.jpg": b"x"})))
    assert "invalid header" in refused(tmp_path / "y.tar.xz", lzma.compress(b"not a tar file" * 100))
    assert refused(tmp_path / "z.tar.xz", lzma.compress(b"")).startswith("it is a damaged tar.xz file")


def test_one_that_would_fill_the_memory_is_refused_while_it_unpacks(tmp_path: Path) -> None:
    """Its end is cut off, and nobody comes so far as to see that."""
    packer = lzma.LZMACompressor(preset=0)
    begun = tar({**GOOD, "demo/runs/x/result.json": b""}).rstrip(b"\0")
    parts = [packer.compress(begun), *(packer.compress(bytes(1 << 20)) for _ in range(ALWAYS_ALLOWED // 2**20 + 60))]
    content = b"".join([*parts, packer.flush()])[:-20]
    assert len(content) * MAX_RATIO < ALWAYS_ALLOWED
    assert refused(tmp_path / "x.tar.xz", content) == f"it would unpack to more than {MAX_RATIO} times its size"


def test_one_that_wants_much_memory_to_unpack(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}]
    content = bytearray(lzma.compress(tar(), filters=filters))
    place = content.index(b"\x21\x01") + 2  # the filter's properties in the block's header: the size of its dictionary
    content[place] = 40  # 4 GB
    start = 12
    end = start + (content[start] + 1) * 4
    content[end - 4 : end] = zlib.crc32(content[start : end - 4]).to_bytes(4, "little")
    assert "Memory usage limit exceeded" in refused(tmp_path / "x.tar.xz", bytes(content))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.99])
def test_one_that_is_cut_off(tmp_path: Path, share: float) -> None:
    whole = lzma.compress(tar({**GOOD, "demo/runs/x/metrics.jsonl": bytes(range(256)) * 8}))
    why = refused(tmp_path / "x.tar.xz", whole[: max(6, int(share * len(whole)))])
    assert why == "it is a damaged tar.xz file: it ends too early"


def test_one_with_a_bit_turned(tmp_path: Path) -> None:
    whole = lzma.compress(tar())
    for place in range(6, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        assert refused(tmp_path / f"{place}.tar.xz", bytes(damaged)).startswith("it is a damaged tar.xz file")


def test_one_that_goes_on_behind_its_end(tmp_path: Path) -> None:
    whole = lzma.compress(tar())
    assert "behind its end" in refused(tmp_path / "x.tar.xz", whole + whole)
    padded = tmp_path / "padded.tar.xz"
    padded.write_bytes(whole + bytes(8))
    assert read_file(padded / "demo/study.yaml") == b"study: demo\n"


def test_a_tar_file_that_was_cut_off_before_it_was_compressed(tmp_path: Path) -> None:
    whole = tar()
    for length in (300, 512, 600, 1024, 1300, 2048):
        why = refused(tmp_path / f"{length}.tar.xz", lzma.compress(whole[:length]))
        assert why.startswith("it is a damaged tar.xz file")


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    content = bytearray(tar({**GOOD, "demo/runs/x/result.json": b"{}"}))
    content[2048 + 10] ^= 1
    assert "header in it can't be read" in refused(tmp_path / "x.tar.xz", lzma.compress(bytes(content)))


def test_a_size_below_0_does_not_lead_round_and_round(tmp_path: Path) -> None:
    content = bytearray(tar())
    second = slice(1024, 1536)
    entry = content[second]
    entry[124:136] = (-512).to_bytes(12, "big", signed=True)  # back to its own header
    entry[148:156] = b" " * 8
    entry[148:156] = f"{sum(entry):06o}\0 ".encode()
    content[second] = entry
    assert "a size in it is below 0" in refused(tmp_path / "x.tar.xz", lzma.compress(bytes(content)))


def test_the_command_reports_it_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("half.tar.xz").write_bytes(lzma.compress(tar())[:-20])
    done = in_this_process(monkeypatch, capfd)("compare", "half.tar.xz")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "actbench: no results at half.tar.xz: neither a folder nor a packed study, "
        "it is a damaged tar.xz file: it ends too early\n"
    )
