"""``python -m postmortem``: the same as the command ``postmortem``."""

from postmortem.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
