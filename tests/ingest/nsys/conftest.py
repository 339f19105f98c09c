"""Real exports (where they lie beside the repository), and stores loaded from any export."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postmortem.catalogue.catalogue import Catalogue
from postmortem.ingest.reader import Batch, Item, Source
from postmortem.ingest.readers.nsys_sqlite import READER
from postmortem.store.store import create, open_store

HERE = Path(__file__).parents[4] / "shared" / "real"
REAL = Path(os.environ.get("POSTMORTEM_REAL", HERE)) / "nsys"


def real_files() -> list[str]:
    """Stems of the real exports, empty where the folder is absent."""
    return sorted(p.stem for p in REAL.glob("*.sqlite"))


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real exports and of NVIDIA's own reports of them."""
    if not REAL.is_dir():
        pytest.skip(f"the real exports are not here ({REAL}); set POSTMORTEM_REAL")
    return REAL


class Loaded:
    """An export in a store: its catalogue, and what the reader yielded beside batches."""

    def __init__(self, store: Path, items: list[Item]) -> None:
        self.con = open_store(store)
        self.catalogue = Catalogue(self.con)
        self.items = items

    def rows(self, sql: str) -> list[tuple]:
        """Rows of one's own SQL."""
        return self.con.execute(sql).fetchall()


def load(export: Path, store: Path, **source) -> Loaded:
    """The export read into a new store under source number 1 and its file's name."""
    items: list[Item] = []
    with create(store) as writer:
        writer.con.execute(
            "INSERT INTO sources (source_id, path, kind, bytes, rows, rejected, ignored, seconds) "
            "VALUES (1, ?, 'nsys_sqlite', 0, 0, 0, 0, 0)",
            [export.name],
        )
        for item in READER.read(Source(export.name, export, **source)):
            if isinstance(item, Batch):
                writer.append(item.table, item.rows, source_id=1)
            else:
                items.append(item)
    return Loaded(store, items)


@pytest.fixture(scope="session")
def loaded(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Loaded]:
    """A real export in a store, by its stem; each is loaded once."""
    folder = tmp_path_factory.mktemp("stores")
    done: dict[str, Loaded] = {}

    def get(stem: str) -> Loaded:
        if stem not in done:
            done[stem] = load(real / f"{stem}.sqlite", folder / f"{stem}.duckdb")
        return done[stem]

    return get


@contextlib.contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """Holds that the file and its folder are the same after the block as before."""
    before = path.read_bytes(), sorted(p.name for p in path.parent.iterdir())
    yield
    assert (path.read_bytes(), sorted(p.name for p in path.parent.iterdir())) == before
