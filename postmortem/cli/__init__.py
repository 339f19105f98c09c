"""Words in, bytes out: the command ``postmortem``."""
