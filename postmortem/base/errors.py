"""Every error that a user can meet, as one tree.

    PostmortemError
    ├── UsageError                exit 2: the command line is wrong
    ├── BundleError               exit 1: the bundle gives no answer
    │   ├── BundleUnreadable      missing, empty, no permission, broken archive
    │   ├── NothingRecognised     no reader knows any of its files
    │   ├── SourceUnreadable      one file of the bundle; noted, the others go on
    │   └── UnknownRequest        the request is not in the bundle
    ├── StoreError                exit 1: the store cannot be written or read
    ├── QueryError                exit 1: a query's header, parameters or SQL are invalid
    │   └── NotInBundle           the query needs a record that nobody took
    └── OutputError               exit 1: the output cannot be written, or exists already

A message names the thing, the reason and the remedy, in one line.
"""

from __future__ import annotations


class PostmortemError(Exception):
    """Base of all errors that are the user's to read; ``str(e)`` is one line."""

    slug = "error"
    exit_code = 1

    def __init__(self, thing: str, reason: str, remedy: str = "") -> None:
        self.thing = thing
        self.reason = reason
        self.remedy = remedy
        text = f"{thing}: {reason}" + (f"; {remedy}" if remedy else "")
        super().__init__(" ".join(text.split()))


class UsageError(PostmortemError):
    """The command line is wrong."""

    slug = "usage"
    exit_code = 2


class BundleError(PostmortemError):
    """The bundle gives no answer."""

    slug = "bundle"


class BundleUnreadable(BundleError):
    """The bundle is missing, empty, forbidden or a broken archive."""

    slug = "bundle-unreadable"


class NothingRecognised(BundleError):
    """No reader recognised any file of the bundle."""

    slug = "nothing-recognised"


class SourceUnreadable(BundleError):
    """One file of the bundle cannot be read; the others go on."""

    slug = "source-unreadable"


class UnknownRequest(BundleError):
    """The request is not in the bundle."""

    slug = "unknown-request"


class StoreError(PostmortemError):
    """The store cannot be written or read."""

    slug = "store"


class QueryError(PostmortemError):
    """A query's header, parameters or SQL are invalid."""

    slug = "query"


class NotInBundle(QueryError):
    """The query needs a record that nobody took."""

    slug = "not-in-bundle"


class OutputError(PostmortemError):
    """The output cannot be written, or it exists already."""

    slug = "output"
