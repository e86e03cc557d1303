"""Lay numbers out in memory so that the last bits of a run do not depend on the runs beside it.

A run has to give the same bits alone and in a cohort. On a CPU the same kernel on the same numbers may still round
differently, for two reasons, and the rest of the program avoids both with the functions of this file. (Measured with
torch 2.14.1, MKL and oneDNN on an AMD EPYC with AVX-512; a share of results that differ in their last bits.)

**Where an operand begins.** A matrix product reads whole vector registers. For an operand that does not begin on a
boundary MKL takes other instructions, which add in another order. The forward product of 33 × 64 inputs and 7 × 64
weights, operands moved by 8 bytes: 156 of 231 results differ in float32, 174 in float64; 128 × 784 by 256 × 784 in
float64: 400 of 32,768. Moved by 16 or 32 bytes, or computed by oneDNN in float32: none. The weights of run r in a stack
(R, 7, 5) of float32 begin 140·r bytes after the first: off every boundary but for every fourth run. Torch's own
allocations, which a run would get alone, begin on a cache line of 64 bytes. So each run's operands are brought to one::

    stack (R, 7, 5)  |run 0      |run 1      |run 2      |        run 1 alone   |run 1      |
    byte             0           140         280                               0 = a cache line

**Where a vector loop ends.** An elementwise kernel takes 128 bytes at a time (two registers of 64), and other code does
the elements that are left over at the tensor's end. The sigmoid of a left-over element differs in 2.4 % of float32
numbers and 1.6 % of float64 (exp, tanh, erf, log1p and sin: none of 16,000). The last elements of run 1 are left over
when it is alone, but lie in the middle of a cohort's tensor, where they are not::

    run 1 alone      [== == == ==|=-]              = whole steps   - left over
    two runs         [run 0 == == ==|=run 1 == == ==|==]

The rules that follow, and where each is kept:

- ``nn.cpu_linear``: a product reads each run's operands from a cache line, copied to one if need be, and writes its
  result to one.
- ``training.parameters``: a run's share of each tensor is padded to whole steps, so the fused optimizers' loops never
  end within a run's numbers, and every weight begins on a cache line without a copy.
- ``training.run_activations``: an activation takes several runs in one call only where each run's share is whole steps;
  otherwise each run by itself, with the remainder that the run has alone. So does one that changes the width: its
  blocks of pre-activations lie apart, and a loop ends within each.
- ``training.steps.arena``: every piece of memory begins on a step, as if torch had allocated it.

Padding to whole steps costs at most 124 bytes per tensor. One batched product for all runs would not do: of 120 shapes
(2 to 12 runs, 5 to 784 inputs) 17 differed from the products of the runs alone. On other devices there is no such
remainder, and no promise beyond what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

CACHE_LINE = 64
"""Bytes: torch's own allocations begin on a multiple."""

VECTOR_STEP = 128
"""Bytes that an elementwise loop of torch takes at once on a CPU with AVX-512; shorter registers divide it."""


def whole_steps(size: int) -> int:
    """Return ``size`` bytes, rounded up to whole vector steps.

    >>> whole_steps(1), whole_steps(128), whole_steps(140)
    (128, 128, 256)
    """
    return -(-size // VECTOR_STEP) * VECTOR_STEP


def fills_steps(x: Tensor) -> bool:
    """Return whether each run's share of x (R, …) is whole vector steps; always so on devices without the remainder."""
    return x.device.type != "cpu" or x[0].numel() * x.element_size() % VECTOR_STEP == 0


def begins_on_lines(x: Tensor) -> bool:
    """Return whether each run's share of x (R, …) begins on a cache line."""
    # The stride of a single run is anything: torch makes it up. (Asked last: this is called a dozen times per step.)
    return x.data_ptr() % CACHE_LINE == 0 and (x.stride(0) * x.element_size() % CACHE_LINE == 0 or x.shape[0] == 1)


def runs_on_lines(x: Tensor) -> Sequence[Tensor]:
    """Return the runs of x (R, …) as if each were alone: those that begin off a cache line are copied to one."""
    runs = x.unbind()
    if begins_on_lines(x):
        return runs
    return [run if run.data_ptr() % CACHE_LINE == 0 else run.clone() for run in runs]
