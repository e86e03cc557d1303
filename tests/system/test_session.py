"""Functions of a session: one path for one function, in every session; another for one that computes something else."""

import functools
import math
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from actbench.errors import UsageError
from actbench.system import session

ROOT = Path(__file__).parents[2]

SCRIPT = """
import math
from functools import partial
from actbench.system import session

SLOPE = 0.3

def helper(z):
    return math.tanh(z)

def bump(z, *, power=2):
    return SLOPE * helper(z) ** power

def make(scale):
    def inner(z):
        return scale * bump(z)
    return inner

first, second = lambda z: z + 1, lambda z: z + 2
print(*map(session.path_of, [bump, first, second, make(1), partial(bump, power=3)]), sep="\\n")
"""


def paths(folder, text=SCRIPT):
    """The paths that a script finds for its five functions, in a process of its own."""
    script = folder / f"script{len(list(folder.glob('*.py')))}.py"
    script.write_text(text)
    command = [sys.executable, script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_same_functions_have_the_same_paths_in_another_session_and_at_another_place(tmp_path):
    found = paths(tmp_path)
    assert paths(tmp_path, "# a comment above\n\n" + SCRIPT) == found
    assert len(set(found)) == 5
    assert [one.partition(":")[2].rpartition("_")[0] for one in found] == ["bump", "lambda", "lambda", "inner", "bump"]


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("SLOPE = 0.3", "SLOPE = 0.4", [0, 3, 4]),  # a variable that it reads
        ("math.tanh(z)", "math.sin(z)", [0, 3, 4]),  # a function that it calls
        ("z + 2", "z + 3", [2]),  # its own text, and that of no other in the line
        ("make(1)", "make(2)", [3]),  # a variable of the function around it
        ("power=3", "power=4", [4]),  # an argument that is fixed
        ("power=2", "power=1", [0, 3, 4]),  # a default
        ("power=2", "power=True", [0, 3, 4]),  # of another type
    ],
)
def test_what_changes_a_functions_results_changes_its_path(tmp_path, old, new, changed):
    before, after = paths(tmp_path), paths(tmp_path, SCRIPT.replace(old, new))
    assert [index for index in range(5) if before[index] != after[index]] == changed


def test_a_function_of_a_module_has_the_modules_path():
    assert session.path_of(math.tanh) == "math:tanh"
    assert session.path_of(textwrap.dedent) == "textwrap:dedent"


def test_what_is_carried_over_is_what_the_function_was(monkeypatch):
    scale = [2.0]
    path = session.path_of(lambda z: scale[0] * z)
    scale[0] = 3.0
    name = path.partition(":")[2]

    assert getattr(session, name)(1.0) == 2.0
    assert pickle.loads(session.packed([path, None, "math:tanh"])[name])(1.0) == 2.0
    assert session.packed(["actbench.system.session:absent_0123456789abcdef"]) == {}


def test_a_worker_finds_what_it_was_given_and_nothing_else():
    def offset(z):
        return z + 0.5

    path = session.path_of(offset)
    code = (
        "import pickle, sys; from actbench.system import session; from actbench.schema import registry\n"
        "session.restore(pickle.load(sys.stdin.buffer)); print(registry.import_object(sys.argv[1])(1.0))"
    )
    command = [sys.executable, "-c", code, path]
    done = subprocess.run(
        command, input=pickle.dumps(session.packed([path])), capture_output=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == b"1.5"
    with pytest.raises(
        UsageError, match="'gone' is a function of a Python session, which no file holds: run the study"
    ):
        _ = session.gone_0123456789abcdef


class Unknown:
    pass


UNKNOWN = Unknown()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda z: UNKNOWN, "uses 'UNKNOWN', of type Unknown, by which no other session could recognise it"),
        (lambda z: absent(z), "uses 'absent', which is not defined"),  # noqa: F821
        (eval("lambda z: z"), "has no source that can be had"),
        (functools.partial(lambda z, a: z, a=UNKNOWN), "of type Unknown"),
        (UNKNOWN, "uses an object, of type Unknown"),
    ],
)
def test_a_function_that_could_not_be_recognised_is_refused(function, reason):
    with pytest.raises(UsageError, match=reason):
        session.path_of(function)


def test_functions_that_call_each_other_are_described_once():
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    assert session.path_of(even) == session.path_of(even) != session.path_of(odd)
