"""Where a bundle's store lies, and whether it still holds: read again only when a source changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from postmortem.base.cache_folder import cache_folder
from postmortem.base.errors import BundleUnreadable, StoreError
from postmortem.base.whole import write_whole
from postmortem.ingest.files import lies_in, walk
from postmortem.store.schema import SCHEMA_VERSION
from postmortem.store.store import sweep

if TYPE_CHECKING:
    from postmortem.ingest.load import Derive, Progress

READERS_VERSION = 8  # raised whenever a reader reads something else out of the same file


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
    store = store and store.absolute()
    cache = cache_folder()
    index = cache / "index" / f"{_hash(str(bundle.resolve()), str(store))}.json"
    if not fresh and (known := _known(index, state)):
        return known
    place = store or cache / "stores" / f"{_content(bundle, keep_environment)}.duckdb"
    if lies_in(place, bundle):
        raise StoreError(str(place), "lies in the bundle, which is only read", "choose another place with --store FILE")
    reads = bool(fresh or store or not place.is_file())
    if reads:
        from postmortem.ingest.load import ingest

        if not lies_in(cache, bundle):
            sweep(cache / "stores", ".*.duckdb.*.part")
        ingest(bundle, place, keep_environment=keep_environment, progress=progress, derive=derive)
    if _state(bundle, keep_environment) == state:
        if not lies_in(cache, bundle):
            _remember(index, state, place)
    elif reads and not store:  # a file changed meanwhile: the store is not of what its name says
        place = place.replace(place.with_stem(f"{place.stem}-changed"))
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
    files: list[list[str | int]] = []
    try:
        bundle.stat()
        for name, path in _paths(bundle):
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed; the ingest says so
                files.append([name, *_stamp(path)])
    except (OSError, ValueError) as e:  # ValueError: a NUL in the path
        why = getattr(e, "strerror", None) or str(e)
        raise BundleUnreadable(str(bundle), why, "name a folder or an archive") from e
    return json.dumps(
        {"schema": SCHEMA_VERSION, "readers": READERS_VERSION, "keep_environment": keep_environment, "files": files}
    )


def _stamp(path: Path) -> list[int]:
    """What changes where a file is written to or another one takes its place."""
    now = path.stat()
    return [now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino]


def _known(index: Path, state: str) -> Path | None:
    """The store of a bundle in this state, if it is still the very file that was written: one that --store names may
    have become another bundle's.
    """
    try:
        entry = json.loads(index.read_text("utf-8"))
        store = Path(entry["store"])
        return store if entry["state"] == state and entry["stamp"] == _stamp(store) else None
    except (OSError, ValueError, TypeError, KeyError):  # no entry, a damaged one, or no store
        return None


def _remember(index: Path, state: str, store: Path) -> None:
    """Whole or not at all. Where the cache cannot be written, the next question reads the bundle again."""
    with contextlib.suppress(OSError):
        index.parent.mkdir(parents=True, exist_ok=True)
        write_whole(index, json.dumps({"state": state, "store": str(store), "stamp": _stamp(store)}).encode())
