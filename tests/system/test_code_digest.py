"""The digest of the program's own code, by which machines know that they run the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from actbench.system.code_digest import PACKAGE, code_digest

PRINT = "from actbench.system.code_digest import code_digest; print(code_digest())"


def digest_below(folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", PRINT], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_copy_elsewhere_has_the_same_digest_and_a_changed_one_another(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "actbench", ignore=shutil.ignore_patterns("__pycache__"))
    assert digest_below(tmp_path) == code_digest()
    compiled = tmp_path / "actbench" / "nn" / "__pycache__"
    compiled.mkdir(exist_ok=True)
    (compiled / "layers.pyc").write_bytes(b"compiled")
    assert digest_below(tmp_path) == code_digest()
    with (tmp_path / "actbench" / "nn" / "layers.py").open("a") as file:
        file.write("\n")
    assert digest_below(tmp_path) != code_digest()
