"""Run a user's own code so that what it changes in the process reaches no other run.

A module may set torch's default type, the current folder or the environment, and the runs beside it and after it would
be computed otherwise. So these settings are read before its code runs, and put back after:

- ``contained``, around an import, a factory and a dataset's function: all of them, and the global random streams;
- ``contained_call``, around each call of an activation or a module, and around each pass backward: those that take no
  time to read, among them all of torch's, which alone move the bits of other runs in the same cohort, and the limit of
  recursion, which alone makes them fail;
- ``contained_events``, around what a cohort computes between two events: those that a call may leave behind.

Not put back is what is done to objects of other modules, such as a patched function or a hook for all modules.
"""

from __future__ import annotations

import gc
import os
import random  # noqa: TID251 - its state is kept, nothing is drawn
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from actbench.system import torch_settings
from actbench.system.signals import ENDING, signals_here

if TYPE_CHECKING:
    from torch import Tensor

SIGNALS = (*ENDING, *signals_here("SIGPIPE", "SIGCHLD"))
"""Signals on which the command, or a worker, acts; the last two would end it with a pipe, or hide its workers' ends."""

_set_by_import: dict[str, dict[str, str]] = {}
"""Module -> environment variables that its import set: its functions find them again."""

T = TypeVar("T")

PutBack = Callable[[], None]


@contextmanager
def contained(module: str = "") -> Iterator[None]:
    """Put back all settings and the global random streams when the context ends.

    Args:
        module: The module whose code is run: the environment variables that its import set are there meanwhile.
    """
    put_back = (*_of_each_call(), *_between_events())
    streams = _random_streams()
    os.environ.update(_set_by_import.get(module, {}))
    try:
        yield
    finally:
        for restore in (*put_back, streams):
            restore()


def contained_call(function: Callable[..., T]) -> Callable[..., T]:
    """Return the function with torch's settings, the current folder and the filters of warnings put back after it."""

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> T:
        put_back = _of_each_call()
        try:
            return function(*arguments, **named)
        finally:
            for restore in put_back:
                restore()

    return call


def backward(output: Tensor) -> None:
    """Do ``torch.autograd.backward``, with settings put back: it may call a user's own gradient."""
    import torch

    contained_call(torch.autograd.backward)(output)


def gradients(outputs: Tensor, inputs: Sequence[Tensor], **options: Any) -> tuple[Tensor, ...]:
    """Return what ``torch.autograd.grad`` does, with settings put back: it may call a user's own gradient."""
    import torch

    return contained_call(torch.autograd.grad)(outputs, inputs, **options)


def slope(a: Tensor, z: Tensor) -> Tensor:
    """Return f′(z) of an elementwise a = f(z), with settings put back; call it where gradients are enabled.

    Zeros where a does not depend differentiably on z: a step has no gradient, and a constant branch no path back to z.
    """
    import torch

    if not a.requires_grad:
        return torch.zeros_like(a)
    # The sum's gradient with respect to each z is f′ there. Handing autograd a tensor of ones instead gives the same
    # bits, but makes torch import sympy, which takes longer than all that a report computes. The product with ones lays
    # the gradient out in memory as a is: that of a bare sum is a single 1, for which kernels take another path.
    (found,) = gradients((a * torch.ones_like(a)).sum(), [z], materialize_grads=True, allow_unused=True)
    return found


def contained_events(events: Generator[T, None, None]) -> Iterator[T]:
    """Yield the events, with environment, signals, umask and NumPy's floats put back before each one is handed on."""
    try:
        while True:
            put_back = _between_events()
            try:
                event = next(events)
            except StopIteration:
                return
            finally:
                for restore in put_back:
                    restore()
            yield event
    finally:
        events.close()


def contained_import(import_object: Callable[[str], T], path: str) -> T:
    """Import a user's object at ``package.module:attribute``, and put back what its module changes in the process."""
    module = path.partition(":")[0]
    if module in sys.modules:
        return import_object(path)
    with contained():
        before = dict(os.environ)
        try:
            return import_object(path)
        finally:
            _set_by_import[module] = {name: text for name, text in os.environ.items() if before.get(name) != text}


def _of_each_call() -> tuple[PutBack, ...]:
    return _torch(), _interpreter(), _folder(), _module_path(), _warnings()


def _between_events() -> tuple[PutBack, ...]:
    return _environment(), _signals(), _float_errors(), _file_modes()


def _torch() -> PutBack:
    before = torch_settings.read()
    return lambda: torch_settings.write(before)


def _interpreter() -> PutBack:
    limit, output, errors, collects = sys.getrecursionlimit(), sys.stdout, sys.stderr, gc.isenabled()

    def put_back() -> None:
        sys.stdout, sys.stderr = output, errors
        if sys.getrecursionlimit() != limit:
            sys.setrecursionlimit(limit)
        if gc.isenabled() != collects:
            (gc.enable if collects else gc.disable)()

    return put_back


def _file_modes() -> PutBack:
    before = os.umask(0o022)  # it can only be read by setting it: meanwhile another thread may make files
    os.umask(before)

    def put_back() -> None:
        os.umask(before)

    return put_back


def _folder() -> PutBack:
    try:
        before = os.getcwd()
    except FileNotFoundError:  # removed meanwhile: there is no way back to it
        return lambda: None
    return lambda: os.chdir(before) if _current_folder() != before else None


def _current_folder() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _module_path() -> PutBack:
    before = list(sys.path)

    def put_back() -> None:
        if sys.path != before:
            # Additions stay, behind all that was there: what a function imports later may lie in such a folder.
            sys.path[:] = [*before, *(place for place in sys.path if place not in before)]

    return put_back


def _warnings() -> PutBack:
    before = list(warnings.filters)

    def put_back() -> None:
        if warnings.filters != before:
            warnings.resetwarnings()  # so that Python forgets what it has looked up in the filters that go
            warnings.filters[:] = before  # type: ignore[index]

    return put_back


def _environment() -> PutBack:
    before = dict(os.environ)

    def put_back() -> None:
        now = dict(os.environ)
        for name in now.keys() - before.keys():
            del os.environ[name]
        for name, text in before.items():
            if now.get(name) != text:
                os.environ[name] = text

    return put_back


def _signals() -> PutBack:
    if threading.current_thread() is not threading.main_thread():
        return lambda: None  # only the main thread can set handlers
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def put_back() -> None:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:  # None: not set by Python
                signal.signal(number, handler)

    return put_back


def _float_errors() -> PutBack:
    import numpy as np

    before = np.geterr()
    return lambda: np.seterr(**before) and None


def _random_streams() -> PutBack:
    import numpy as np
    import torch

    python, numpy, own = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002

    def put_back() -> None:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(own)

    return put_back
