"""``actbench completion``: the script by which a shell completes commands, keys and values."""

from __future__ import annotations

from typing import Annotated

import typer

EXAMPLES = {
    "actbench completion bash": 'for ~/.bashrc, as eval "$(actbench completion bash)"',
    "actbench completion zsh": 'for ~/.zshrc, behind compinit, as eval "$(actbench completion zsh)"',
    "actbench completion fish": "for ~/.config/fish/config.fish, with | source behind it",
}


def completion(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell to print it for.")],
) -> None:
    """Print the script by which your shell completes this command.

    A TAB then completes commands, options, configs, their keys and values, metrics, factors, formats, studies and run
    ids.
    """
    from actbench.cli.output import print_result
    from actbench.completion.shells import SHELLS, script
    from actbench.errors import UnknownNameError

    if shell not in SHELLS:
        raise UnknownNameError("shell", shell, SHELLS)
    print_result(script(shell).removesuffix("\n"))
