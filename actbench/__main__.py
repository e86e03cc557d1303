"""``python -m actbench`` and the ``actbench`` command."""

from actbench.cli import main

if __name__ == "__main__":
    main()
