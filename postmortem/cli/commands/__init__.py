"""One module a command, each with ``COMMAND``; its docstring is its help."""
