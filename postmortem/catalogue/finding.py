"""The contract of a finding: one question that SQL alone does not answer, as a frame.

Its module's docstring is its header, as that of a query file: prose, then parameters, columns, needs.
``find`` takes the catalogue and the declared parameters by name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postmortem.catalogue.parse import Header, header

if TYPE_CHECKING:
    import polars as pl

    from postmortem.catalogue.catalogue import Catalogue

Row = dict[str, Any]
SUBJECT = "findings"


@dataclass(frozen=True)
class Finding:
    """A finding: ``module`` is its own ``__name__``; ``find`` gives rows with at least the declared columns."""

    module: str
    find: Callable[..., list[Row] | pl.DataFrame]

    @property
    def name(self) -> str:
        """The name that one asks by: the module's."""
        return self.module.rpartition(".")[2]

    @cached_property
    def header(self) -> Header:
        """What it says of itself. Raises QueryError where its docstring is off."""
        module = sys.modules[self.module]
        return header(Path(module.__file__ or self.name), SUBJECT, (module.__doc__ or "").splitlines())

    def run(self, catalogue: Catalogue, **params: Any) -> pl.DataFrame:
        """The answer with the declared columns and types. Raises QueryError where a parameter is off."""
        import polars as pl

        schema = {c.name: _TYPES[c.type](pl) for c in self.header.columns}
        found = self.find(catalogue, **self.header.bound(params))
        if isinstance(found, pl.DataFrame):
            return found.select(pl.col(name).cast(kind) for name, kind in schema.items())
        return pl.DataFrame([{name: row[name] for name in schema} for row in found], schema=schema)


_TYPES: dict[str, Callable[[Any], Any]] = {
    "VARCHAR": lambda pl: pl.String,
    "BIGINT": lambda pl: pl.Int64,
    "INTEGER": lambda pl: pl.Int32,
    "DOUBLE": lambda pl: pl.Float64,
    "BOOLEAN": lambda pl: pl.Boolean,
    "VARCHAR[]": lambda pl: pl.List(pl.String),
}
