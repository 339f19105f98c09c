"""Where a bundle's store lies, and whether it still holds: read again only when a source changed."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

from postmortem.base.errors import BundleUnreadable, StoreError
from postmortem.ingest.load import Progress, ingest
from postmortem.store.schema import SCHEMA_VERSION

READERS_VERSION = 1  # raised whenever a reader reads something else out of the same file


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/postmortem``, else ``~/.cache/postmortem``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "postmortem"


def store_of(bundle: Path, store: Path | None, keep_environment: bool, progress: Progress | None) -> Path:
    """The path of the bundle's store; ingests where it is missing or stale.

    A store is fresh while every file of the bundle has the size, time and place that it had when
    it was read. Raises BundleUnreadable, NothingRecognised, StoreError.
    """
    state = _state(bundle, keep_environment)
    place = store or cache_folder() / "stores" / f"{_key(bundle)}.duckdb"
    beside = place.with_name(place.name + ".json")
    if place.is_file() and _read(beside) == state:
        return place
    beside.unlink(missing_ok=True)
    ingest(bundle, place, keep_environment=keep_environment, progress=progress)
    if _state(bundle, keep_environment) == state:  # else a file changed meanwhile: stale from the start
        _write(beside, state)
    return place


def refresh(bundle: Path, store: Path | None, keep_environment: bool, progress: Progress | None) -> Path:
    """Ingest whether or not a fresh store stands; returns its path."""
    place = store or cache_folder() / "stores" / f"{_key(bundle)}.duckdb"
    place.with_name(place.name + ".json").unlink(missing_ok=True)
    return store_of(bundle, store, keep_environment, progress)


def _key(bundle: Path) -> str:
    return hashlib.sha256(str(bundle.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _state(bundle: Path, keep_environment: bool) -> str:
    """What the store depends on, as JSON text: every file's name, size and time, and the options."""
    try:
        if bundle.is_dir():
            paths = sorted(p for p in bundle.rglob("*") if p.is_file() and not p.is_symlink())
        else:
            paths = [bundle]
        files = [[str(p.relative_to(bundle)), (st := p.stat()).st_size, st.st_mtime_ns, st.st_ino] for p in paths]
    except OSError as e:
        raise BundleUnreadable(str(bundle), e.strerror or str(e), "name a folder or an archive") from e
    return json.dumps(
        {"schema": SCHEMA_VERSION, "readers": READERS_VERSION, "keep_environment": keep_environment, "files": files}
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except OSError:
        return None


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8") as f:
            f.write(text)
        Path(f.name).replace(path)
    except OSError as e:
        raise StoreError(str(path), e.strerror or str(e), "choose a place with --store FILE") from e
