"""Reject options of ``run`` and ``plan`` that would be ignored: a user who gives one relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from actbench.errors import UsageError

if TYPE_CHECKING:
    import typer

    from actbench.execution.runner import Runner


def reject_unused_options(context: typer.Context, runner: Runner) -> None:
    """Reject options that were given, not left at their defaults, and that change nothing for this engine and device.

    Args:
        context: Knows whether an option comes from the command line, from the environment or from its default.
        runner: The planned study; unlike the options, it knows which device ``auto`` is.

    Raises:
        UsageError: For the first of them, with the remedy.
    """
    for option, reason in _unused(runner):
        source = context.get_parameter_source(option)
        if source is not None and source.name == "ENVIRONMENT":
            raise UsageError(f"{context.auto_envvar_prefix}_{option.upper()} has no effect: {reason}, or unset it")
        if source is not None and source.name == "COMMANDLINE":
            (found,) = (parameter for parameter in context.command.params if parameter.name == option)
            spelled = "/".join([found.opts[-1], *found.secondary_opts])  # with its opposite: --capture/--no-capture
            raise UsageError(f"{spelled} has no effect: {reason}, or leave it out")


def _unused(runner: Runner) -> Iterator[tuple[str, str]]:
    """Yield each option that would be ignored, and why; one that asks for nothing (no limit, one worker) is fine."""
    runtime = runner.runtime
    if not runner.engine.parallel:
        alone = f"engine '{runtime.engine}' computes in this process alone"
        if runtime.timeout:
            yield "timeout", f"{alone}, which can't end itself; take --engine pool"
        if runtime.jobs is not None and runtime.jobs > 1:
            yield "jobs", f"{alone}; take --engine pool"
    if runtime.device != "cpu" and not runtime.device.startswith("cuda"):
        yield "capture", f"steps are launched whole on CPUs and CUDA alone, and this is {runtime.device}"
    for option in ("products", "kernels"):
        if runtime.device != "cpu" and getattr(runtime, option) != "auto":
            yield option, f"it is for the CPU, and this is {runtime.device}; take --device cpu"
