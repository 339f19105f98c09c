"""``python -m postmortem``: the same as the command ``postmortem``."""

from postmortem.cli.main import run

if __name__ == "__main__":
    run()
