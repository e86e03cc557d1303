"""What ``--engine ray`` is asked for, and what crosses to the machines of a cluster; the rest is in ``conformance``."""

from __future__ import annotations

import json
import shutil
import socket
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from forked_commands import Server
from processes import wait_until

from actbench import datasets
from actbench.datasets import _handover
from actbench.errors import ActbenchError, DeviceError, UsageError
from actbench.execution.engines import Work, _ray_head
from actbench.execution.engines._ray_cluster import Connection, explained
from actbench.execution.engines._ray_head import Head
from actbench.execution.engines._ray_machine import Description, differences_from_here, versions_here
from actbench.execution.engines._ray_resources import RayOptions
from actbench.execution.engines.ray import Ray, _Slot
from actbench.schema.components import resolve
from actbench.schema.runtime import Runtime
from actbench.schema.spec import canonical_json
from actbench.system.code_digest import code_digest
from actbench.system.user_modules import module_digest


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"address": "ray://head:10001"}, "addresses of Ray's client can't be used"),
        ({"address": "head"}, "should be auto or HOST:PORT"),
        ({"address": "http://head:80/x"}, "should be auto or HOST:PORT"),
        ({"gpus": "2"}, "a worker computes on one GPU"),
        ({"cpus": "0"}, "greater than 0"),
        ({"retries": "-1"}, "greater than or equal to 0"),
        ({"working-dir": "/no/such/folder"}, "should be a folder of this machine"),
        ({"gpu": "1"}, "did you mean 'gpus'?"),
    ],
)
def test_what_no_cluster_can_give_is_refused(given: dict[str, str], problem: str) -> None:
    with pytest.raises(UsageError, match="--cluster") as caught:
        RayOptions.of("ray", given)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "given", "device"),
    [
        ("cpu", {}, "cpu"),
        ("cuda", {}, "cuda"),
        ("auto", {"gpus": "0.25"}, "cuda"),
        ("auto", {"gpus": "0"}, "cpu"),
        ("cpu", {"gpus": "1"}, None),
        ("cuda", {"gpus": "0"}, None),
        ("cuda:1", {}, None),
        ("mps", {}, None),
    ],
)
def test_the_device_is_that_of_the_workers_not_of_this_machine(
    asked: str, given: dict[str, str], device: str | None
) -> None:
    options = RayOptions.of("ray", given)
    if device is None:
        with pytest.raises(DeviceError):
            Ray.device(asked, options)
    else:
        assert Ray.device(asked, options) == device


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
            "This process on node 10.0.0.2 was started with:\n    Ray: 2.60.0\n    Python: 3.11.9\n",
            "has Ray 2.60.0 and Python 3.11.7, here are Ray 2.60.0 and Python 3.11.9",
        ),
        ("Could not find any running Ray instance. Please specify …", "`ray start --head`"),
        ("This node has an IP address of 10.0.0.2, and Ray expects … local raylet", "`ray start --address=head:6379`"),
        ("InvalidAuthToken: Authentication token is missing or incorrect", "RAY_AUTH_MODE=token"),
        ("Failed to connect to Ray cluster at head:6379", "no Ray cluster answers at head:6379"),
        ("Something\nelse", "no connection to a Ray cluster at head:6379: Something else"),
    ],
)
def test_rays_errors_become_one_sentence_that_says_what_to_do(text: str, told: str) -> None:
    sentence = explained(text, "head:6379")
    assert told in sentence
    assert "\n" not in sentence


def test_an_address_at_which_nothing_listens_is_refused_at_once() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))  # bound and not listening: nobody else is given the port
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"nothing answers at {address}"):
            Connection(address).__enter__()


def test_a_machine_that_differs_is_told_from_one_that_does_not() -> None:
    own = versions_here()
    assert differences_from_here(Description("n", "ada", code_digest(), own)) == []
    (code,) = differences_from_here(Description("n", "ada", "0" * 64, own))
    assert "another state of actbench's code" in code[0]
    (torch,) = differences_from_here(Description("n", "ada", code_digest(), {**own, "torch": "1.0"}))
    assert torch[0].startswith("has torch 1.0, here is")
    nothing = differences_from_here(Description("n", "ada", None, {**own, "torch": None}))
    assert [what for what, _ in nothing] == ["has no torch", "has no actbench"]


class NoCluster:
    """A connection whose actors need not be ended."""

    ray = SimpleNamespace(kill=lambda actor: None)


def test_where_every_machine_differs_the_command_ends_with_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    engine = Ray(2, RayOptions.of("ray", {"address": "head:6379"}))
    engine._connection = NoCluster()  # type: ignore[assignment]
    engine._slots = [_Slot(actor=None), _Slot(actor=None)]
    first, second = engine._slots
    other = Future[Description]()
    other.set_result(Description("n", "ada", "0" * 64, versions_here()))
    work = Work("engine_work:echo", Runtime(device="cpu"))
    assert list(engine._answered(work, first, other)) == []
    assert "a worker is left out: ada has another state of actbench's code" in caplog.text
    with pytest.raises(UsageError, match=r"no machine of the Ray cluster can compute this: ada has another state"):
        list(engine._answered(work, second, other))


@pytest.mark.parametrize("name", ["digits", "moons", {"name": "regression", "function": "sin(x)", "val_fraction": 0}])
def test_a_dataset_that_is_handed_over_is_the_one_that_was_loaded(name: object, tmp_path: Path) -> None:
    """Images, points and numbers to be learned; with and without validation examples."""
    component = resolve("datasets", name)
    loaded = datasets.load(component, tmp_path)
    block = _handover.load_packed(canonical_json(component.to_json()), tmp_path)
    assert block.dtype == np.uint8
    file = tmp_path / "block"
    file.write_bytes(block.tobytes())
    found = _handover.read(file)
    for part in _handover.ARRAYS:
        one, other = getattr(loaded, part), getattr(found, part)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
        assert other.flags.writeable, "torch warns of arrays that are not"
    for field in _handover.FIELDS:
        assert getattr(loaded, field) == getattr(found, field)


def test_a_users_module_is_known_by_its_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_act.py").write_text("raise SystemExit('imported')")
    first = module_digest("own_act")
    (tmp_path / "own_act.py").write_text("changed = 1")
    assert None not in (first, module_digest("own_act"))
    assert first != module_digest("own_act")
    assert module_digest("no_such_module_anywhere") is None
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("x = 1")
    before = module_digest("own_package")
    (package / "inner.py").write_text("x = 2")
    assert module_digest("own_package") != before


LOCAL = """\
study: local
dataset: {name: idx, root: images}
model: {name: mlp, hidden: [8]}
training: {epochs: 2, batch_size: 16}
seeds: 2
"""


def write_images(folder: Path) -> None:
    """An IDX dataset of random pixels, as its user would have it."""
    folder.mkdir()
    pixels = np.random.PCG64(0).random_raw(240 * 16).astype(np.uint8)
    for part, count in (("train", 160), ("t10k", 80)):
        shape = b"".join(size.to_bytes(4, "big") for size in (count, 4, 4))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + shape + pixels[: count * 16].tobytes())
        labels = bytes(index % 4 for index in range(count))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + count.to_bytes(4, "big") + labels)


@pytest.mark.slow
def test_a_cluster_of_this_machine_alone_gives_the_same_numbers_and_leaves_nothing(
    server: Server, tmp_path: Path
) -> None:
    write_images(tmp_path / "images")
    (tmp_path / "study.yaml").write_text(LOCAL)
    short = Path("/tmp") / f"ray-test-{tmp_path.parent.name[-8:]}"
    short.mkdir()
    try:
        for engine in ("inline", "ray"):
            words = ("run", "study.yaml", "-o", engine, "--engine", engine, "--device", "cpu")
            assert server.do(tmp_path, *words, TMPDIR=str(short)) == 0, (tmp_path / "stderr").read_text()
            said = (tmp_path / "stderr").read_text()
            assert not [word for word in ("Ray", "raylet", ".cc:", "Warning") if word in said], said
        assert not list(short.iterdir()), "Ray's folder is gone"
    finally:
        shutil.rmtree(short)
    inline, ray = (numbers(tmp_path / engine) for engine in ("inline", "ray"))
    assert len(inline) == 2
    assert ray == inline


def numbers(folder: Path) -> dict[str, object]:
    found = {}
    for path in folder.glob("local/runs/*/result.json"):
        content = json.loads(path.read_text())
        found[path.parent.name] = {**content["final"], "seconds": 0, "data": content["digest"]}
    return found


def test_without_ray_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from actbench.execution.engines._ray_import import import_ray

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ActbenchError, match=r"pip install 'activation-bench\[ray\]'"):
        import_ray()


def listening(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def head_at(server: socket.socket) -> Head:
    address = f"127.0.0.1:{server.getsockname()[1]}"
    return Head(address, address, "head:6379")


def test_a_head_that_is_silent_for_a_while_is_not_lost() -> None:
    server = listening()
    head = head_at(server)
    assert head.answers()
    port = server.getsockname()[1]
    server.close()
    assert not head.answers()
    with listening(port):
        wait_until(head.answers)
    assert not head.is_lost
    head.close()


def test_a_head_that_stays_silent_is_lost_also_when_it_comes_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """That a study still waits for an answer of Ray's then, before Ray ends the process, is said at least."""
    monkeypatch.setenv(_ray_head.SETTING, "1")
    server = listening()
    head = head_at(server)
    port = server.getsockname()[1]
    server.close()
    wait_until(lambda: head.is_lost)
    with listening(port):
        wait_until(lambda: head.is_over)
        wait_until(lambda: caplog.messages)
        assert head.is_lost
    assert "the head of the Ray cluster head:6379 has not answered for" in str(head.loss())
    head.close()
    assert len(caplog.messages) == 1
