"""Options that name rows by their factors' values: ``--baseline relu``, ``--where bias_init=0.01``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actbench.cli.output import pairs

if TYPE_CHECKING:
    from actbench.storage.reading import Records


def settings(option: str, texts: list[str] | None, records: Records) -> dict[str, Any]:
    """Read ``KEY=VALUE,…`` where a value alone stands for the factor that has it: ``relu`` for ``activation=relu``.

    Raises:
        UsageError: As ``pairs`` does, and for a value of no factor, or of several.
    """
    from actbench.analysis.table.factors import factor_of
    from actbench.config.overrides import is_setting, pieces_of
    from actbench.errors import UsageError

    pieces = [piece.strip() for text in texts or () for piece in pieces_of(text)]
    try:
        named = [piece if is_setting(piece) else f"{factor_of(piece, records)}={piece}" for piece in pieces]
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from error
    return pairs(option, named)
