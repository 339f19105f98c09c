"""A stand-in for the catalogue: frames by name, no store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl
import pytest

from postmortem.base.errors import NotInBundle
from postmortem.catalogue.catalogue import Catalogue
from postmortem.catalogue.finding import Finding


class FakeCatalogue:
    """Answers queries from frames; a parameter that is a column filters by it."""

    def __init__(self, frames: dict[str, pl.DataFrame]) -> None:
        self.frames = frames

    def run(self, name: str, **params: Any) -> pl.DataFrame:
        """The frame of that name."""
        if name not in self.frames:
            raise NotInBundle(name, "nobody took it", "record it")
        frame = self.frames[name]
        for key, value in params.items():
            if key in frame.columns:
                frame = frame.filter(pl.col(key).cast(pl.String) == str(value))
        return frame

    def kept(self, name: str, **params: Any) -> pl.DataFrame:
        """The same; of an absent frame an empty one with a start."""
        return self.run(name, **params) if name in self.frames else pl.DataFrame(schema={"start_ns": pl.Int64})

    def view(self, name: str) -> pl.DataFrame:
        """The frame of a shared view; an empty one where there is none."""
        return self.frames.get(name, pl.DataFrame())

    def rows(self, name: str, **params: Any) -> list[dict[str, Any]]:
        """The same as dictionaries; none where nobody took it."""
        return self.run(name, **params).to_dicts() if name in self.frames else []

    def names(self) -> list[str]:
        """Names of all queries."""
        return sorted(self.frames)

    def absent(self, name: object, source: str | None = None) -> list[str]:
        """What would have to be recorded."""
        return [f"no {name} in this bundle"]

    def sql_text(self, name: str) -> str:
        """A query's text."""
        return f"SELECT * FROM {name} -- </script>"


@contextmanager
def findings_as_frames() -> Iterator[None]:
    """Within it the findings of a FakeCatalogue are its frames too; those of a real one are worked out."""
    work_out = Finding.run

    def run(self: Finding, catalogue: Catalogue, **params: Any) -> pl.DataFrame:
        if isinstance(catalogue, FakeCatalogue):
            return catalogue.run(self.name, **params)
        return work_out(self, catalogue, **params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Finding, "run", run)
        yield
