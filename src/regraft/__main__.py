"""``python -m regraft`` is the ``regraft`` command."""

from regraft.presentation.cli.main import main

if __name__ == "__main__":
    main()
