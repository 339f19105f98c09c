"""The files of a folder that is a bundle. It loads little: an answer from a warm store begins here."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path


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
        name = _text(Path(error.filename).relative_to(root).as_posix()) if error.filename else "."
        left_out.append((name, error.strerror or "cannot be listed"))

    for folder, folders, names in os.walk(root, onerror=refused):
        folders.sort()
        for name in sorted(names):
            path = Path(folder) / name
            shown = _text(path.relative_to(root).as_posix())
            try:
                mode = path.lstat().st_mode
            except OSError as e:  # it vanished since it was listed
                left_out.append((shown, e.strerror or "not to be found"))
                continue
            if stat.S_ISREG(mode):
                files.append(BundleFile(shown, path))
            else:
                left_out.append((shown, "a link" if stat.S_ISLNK(mode) else "no regular file"))
        links = [Path(folder) / name for name in folders if (Path(folder) / name).is_symlink()]
        left_out += [(_text(link.relative_to(root).as_posix()), "a link") for link in links]
    return sorted(files, key=lambda f: (f.name, f.path)), left_out


def _text(name: str) -> str:
    """A file name as text: bytes that are no UTF-8 are shown as the replacement character."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
