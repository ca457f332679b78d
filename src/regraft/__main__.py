"""The ``regraft`` command, and ``python -m regraft``."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command. Until it is loaded, Ctrl-C ends the process without a word: there is nothing to undo yet."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from regraft.presentation.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
