"""The files of a folder that is a bundle. It loads little: an answer from a warm store begins here."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

MAX_DEPTH = 100  # folders within folders: nobody's are as deep, and thousands would exhaust Python's stack
TOO_DEEP = f"more than {MAX_DEPTH} folders deep"


@dataclass(frozen=True)
class BundleFile:
    """A file of the bundle: ``name`` inside it (``/`` between parts), ``path`` on disk."""

    name: str
    path: Path


def walk(root: Path) -> tuple[list[BundleFile], list[tuple[str, str]]]:
    """Regular files below ``root`` by name; links and special files are left out, and said."""
    files: list[BundleFile] = []
    left_out: list[tuple[str, str]] = []

    def refused(error: OSError) -> None:
        name = shown(Path(error.filename).relative_to(root).as_posix()) if error.filename else "."
        left_out.append((name, error.strerror or "cannot be listed"))

    for folder, folders, names in os.walk(root, onerror=refused):
        folders.sort()
        for listed in sorted(names):
            path = Path(folder) / listed
            name = shown(path.relative_to(root).as_posix())
            try:
                mode = path.lstat().st_mode
            except OSError as e:  # it vanished since it was listed
                left_out.append((name, e.strerror or "not to be found"))
                continue
            if stat.S_ISREG(mode):
                files.append(BundleFile(name, path))
            else:
                left_out.append((name, "a link" if stat.S_ISLNK(mode) else "no regular file"))
        links = [link for name in folders if (link := Path(folder) / name).is_symlink()]
        left_out += [(shown(link.relative_to(root).as_posix()), "a link") for link in links]
        if len(Path(folder).relative_to(root).parts) == MAX_DEPTH:
            left_out += [(shown((Path(folder) / f).relative_to(root).as_posix()), TOO_DEEP) for f in folders]
            folders.clear()
    return sorted(files, key=lambda f: (f.name, f.path)), left_out


def lies_in(place: Path, bundle: Path) -> bool:
    """Whether a file or folder is, or would be, the bundle or in it."""
    place, bundle = Path(os.path.realpath(place)), Path(os.path.realpath(bundle))
    return place == bundle or bundle in place.parents


def shown(name: str) -> str:
    """A file name as text: bytes that are no UTF-8 are shown as the replacement character."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
