"""Where a bundle's store lies, and whether it still holds: read again only when a source changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postmortem.base.cache_folder import cache_folder
from postmortem.base.errors import BundleUnreadable, StoreError
from postmortem.base.whole import write_whole
from postmortem.ingest.files import walk
from postmortem.store.schema import SCHEMA_VERSION
from postmortem.store.store import sweep

if TYPE_CHECKING:
    from postmortem.ingest.load import Derive, Progress

READERS_VERSION = 5  # raised whenever a reader reads something else out of the same file


def store_of(
    bundle: Path,
    store: Path | None,
    keep_environment: bool,
    progress: Progress | None,
    *,
    fresh: bool = False,
    derive: Derive | None = None,
) -> Path:
    """The path of the bundle's store; ingests where it is missing or stale, or where ``fresh`` asks.

    In the cache a store is named by what the bundle holds (the hash of all its files), so that a
    copy of a bundle finds it too; a small index by place spares the hashing while no file's size
    and time changed. Raises BundleUnreadable, NothingRecognised, StoreError.
    """
    state = _state(bundle, keep_environment)
    index = cache_folder() / "index" / f"{_hash(str(bundle.resolve()), str(store))}.json"
    known = _read(index)
    if not fresh and known and known.get("state") == state and Path(known["store"]).is_file():
        return Path(known["store"])
    place = store or cache_folder() / "stores" / f"{_content(bundle, keep_environment)}.duckdb"
    inside = bundle.resolve()
    if inside in place.resolve().parents or place.resolve() == inside:
        raise StoreError(str(place), "lies in the bundle, which is only read", "choose another place with --store FILE")
    if fresh or store or not place.is_file():
        from postmortem.ingest.load import ingest

        sweep(cache_folder() / "stores", ".*.duckdb.*.part")
        index.unlink(missing_ok=True)
        ingest(bundle, place, keep_environment=keep_environment, progress=progress, derive=derive)
    if _state(bundle, keep_environment) == state:  # else a file changed meanwhile: stale from the start
        _write(index, {"state": state, "store": str(place)})
    return place


def _hash(*texts: str) -> str:
    """Of some texts, as a file name."""
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _paths(bundle: Path) -> list[tuple[str, Path]]:
    """Names and paths of the files that the store depends on."""
    if bundle.is_dir():
        return [(f.name, f.path) for f in walk(bundle)[0]]
    return [("", bundle)]


def _content(bundle: Path, keep_environment: bool) -> str:
    """A name for what the bundle holds. A file that cannot be read counts by its name alone."""
    from postmortem.ingest.load import sha256_of

    texts = [str(SCHEMA_VERSION), str(READERS_VERSION), str(keep_environment)]
    for name, path in _paths(bundle):
        try:
            texts += [name, sha256_of(path)]
        except OSError:  # no permission, or gone since it was listed; the ingest says which
            texts += [name, "unreadable"]
    return _hash(*texts)


def _state(bundle: Path, keep_environment: bool) -> str:
    """What the store depends on, as JSON text: every file's name, size and time, and the options."""
    try:
        files = [
            [name, (st := p.stat()).st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino] for name, p in _paths(bundle)
        ]
    except (OSError, ValueError) as e:  # ValueError: a NUL in the path
        why = getattr(e, "strerror", None) or str(e)
        raise BundleUnreadable(str(bundle), why, "name a folder or an archive") from e
    return json.dumps(
        {"schema": SCHEMA_VERSION, "readers": READERS_VERSION, "keep_environment": keep_environment, "files": files}
    )


def _read(path: Path) -> dict[str, Any] | None:
    """The index entry, or None where there is none or it is damaged."""
    try:
        entry = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("store"), str) else None


def _write(path: Path, entry: dict[str, Any]) -> None:
    """Whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(entry).encode())
    except OSError as e:
        raise StoreError(str(path), e.strerror or str(e), "set XDG_CACHE_HOME to a place that can be written") from e
