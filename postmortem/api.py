"""The library: ``open_bundle(path)`` gives an Incident with audit, scan, chain, query, sql, chart and report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from postmortem.base.errors import BundleUnreadable, OutputError
from postmortem.catalogue.catalogue import Catalogue
from postmortem.catalogue.derived import derive as keep_views
from postmortem.findings import ask, questions
from postmortem.ingest.cache import store_of
from postmortem.ingest.files import lies_in, shown
from postmortem.store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    import altair as alt
    import polars as pl

    from postmortem.chain.audit import Audit
    from postmortem.chain.model import Chain
    from postmortem.chain.scan import Scan
    from postmortem.ingest.load import Progress
    from postmortem.store.store import Writer


def open_bundle(
    path: str | Path,
    *,
    store: str | Path | None = None,
    keep_environment: bool = False,
    progress: Progress | None = None,
) -> Incident:
    """Open a bundle: a folder or an archive of traces; read it first where no store of it stands.

    ``store`` names the store's file; by default it lies in the user's cache folder. The bundle
    is only read. Raises BundleUnreadable, NothingRecognised, StoreError.
    """
    return Incident(Path(path), read_bundle(path, store=store, keep_environment=keep_environment, progress=progress))


def read_bundle(
    path: str | Path,
    *,
    store: str | Path | None = None,
    keep_environment: bool = False,
    progress: Progress | None = None,
    fresh: bool = False,
) -> Path:
    """The path of the bundle's store; read first where none stands, or where ``fresh`` asks for it anew.

    Raises BundleUnreadable, NothingRecognised, StoreError.
    """
    if path == "":  # a shell's unset variable; to pathlib it is the folder that one stands in
        raise BundleUnreadable("BUNDLE", "is empty", "name a folder or an archive")
    place = Path(store) if store else None
    return store_of(Path(path), place, keep_environment, progress, fresh=fresh, derive=derive)


def derive(writer: Writer) -> None:
    """Add to a filled store what would else be worked out at every question."""
    match_and_align(writer)
    keep_views(writer.con)


def match_and_align(writer: Writer) -> None:
    """Fill the store's ``collective_calls`` and ``clock_fits``, where anything in it could coincide."""
    catalogue = Catalogue(writer.con)
    records, laps = catalogue.view("collective_records"), catalogue.view("lap_records")
    if records.is_empty() and laps.is_empty():
        return
    from postmortem.analyses.collectives import clocks, match

    calls = match(records)
    writer.append("collective_calls", calls.to_arrow())
    writer.append("clock_fits", clocks(calls, laps).to_arrow())


class Incident:
    """A bundle, opened: ask it questions, walk its chains, write its report."""

    def __init__(self, path: Path, store: Path) -> None:
        self.path = path
        self.store = store
        self._con = open_store(store)
        self.catalogue = Catalogue(self._con)
        if "IPython" in sys.modules:
            from postmortem.render.notebook import show_in_notebooks

            show_in_notebooks(type(self))

    @property
    def name(self) -> str:
        """The bundle's name: the last part of its path (the one above, where that is ``bundle``)."""
        path = self.path.resolve()
        return shown(path.parent.name if path.name == "bundle" else path.name)

    @property
    def sources(self) -> pl.DataFrame:
        """One row a file of the bundle: kind, hash, rows read and rejected, times, rank, replica."""
        return self.query("sources")

    def query(self, name: str, **params: Any) -> pl.DataFrame:
        """The answer of a query or finding of the library, by name. Raises QueryError."""
        return ask(self.catalogue, name, **params)

    @property
    def queries(self) -> pl.DataFrame:
        """One row a query or finding of the library: its name, subject, what it tells, its parameters."""
        import polars as pl

        known = list(questions().values())
        return pl.DataFrame(
            {
                "query": [q.name for q in known],
                "subject": [q.subject for q in known],
                "tells": [q.title for q in known],
                "parameters": [", ".join(p.name for p in q.params) for q in known],
            },
            schema={"query": pl.String, "subject": pl.String, "tells": pl.String, "parameters": pl.String},
        )

    def sql(self, text: str) -> pl.DataFrame:
        """Rows of your own read-only SQL. Raises QueryError."""
        return self.catalogue.sql(text)

    def chain(self, req_id: str, vs: str | None = None) -> Chain:
        """The chain of one request, against ``vs`` or the reference that is found.

        Raises UnknownRequest, UsageError (``vs`` is the request itself).
        """
        from postmortem.base.errors import UsageError
        from postmortem.chain.walk import walk

        if vs == req_id:
            raise UsageError(f"--vs {vs}", "is the request itself", "name another, or none to have its reference found")
        return walk(self.catalogue, self.name, req_id, vs)

    def scan(self, tell: Callable[[int, int], None] | None = None) -> Scan:
        """All divergences and the incidents that they belong to, worst first. ``tell``: called with (done, all)."""
        from postmortem.chain.scan import scan

        return scan(self.catalogue, self.name, tell)

    def audit(self) -> Audit:
        """Which parts of the execution contract were recorded, and what cannot be concluded without the rest."""
        from postmortem.chain.audit import audit

        return audit(self.catalogue, self.name)

    def chart(self, name: str = "incident_timeline", req_id: str | None = None) -> alt.TopLevelMixin:
        """A chart of ``charts``, of one request's chain (by default of the first that flipped).

        Raises UnknownRequest, UsageError (no chart of that name).
        """
        from postmortem.render.charts import chart_named
        from postmortem.render.frames import gather

        asked = req_id or next(iter(self.differing()), None)
        chain = None if asked is None else self.chain(asked)
        drawn = chart_named(name)
        return drawn.draw(gather(self.catalogue, chain, drawn=(drawn,)).frames)

    @property
    def charts(self) -> pl.DataFrame:
        """One row a chart: its name, and the question that it answers."""
        import polars as pl

        from postmortem.render.charts import charts

        known = charts().values()
        return pl.DataFrame({"chart": [c.name for c in known], "question": [c.question for c in known]})

    def report(self, path: str | Path, *, req_ids: list[str] | None = None, force: bool = False) -> Path:
        """Write the HTML report for the review meeting: one file, offline.

        ``req_ids``: the requests whose chains it shows; by default those of ``differing``.
        Raises OutputError (exists already, cannot be written, in the bundle), UnknownRequest.
        """
        if lies_in(Path(path), self.path):
            raise OutputError(str(path), "lies in the bundle, which is only read", "choose another place")
        from postmortem import __version__
        from postmortem.chain.scan import told
        from postmortem.render.report import ReportContext, write_report

        asked = dict.fromkeys(req_ids or ())
        chains = tuple(self.chain(r) for r in asked) if asked else tuple(told(self.catalogue, self.name))
        context = ReportContext(self.catalogue, chains, self.name, str(self.path), meta={"version": __version__})
        return write_report(context, Path(path), force=force)

    def differing(self) -> list[str]:
        """Those of ``flipped``, then those that saw another input than their reference."""
        from postmortem.chain.scan import asked

        return asked(self.catalogue)

    def flipped(self) -> list[str]:
        """Requests whose tokens differ from their reference's, the earliest flip first."""
        return [str(r["req_id"]) for r in self.catalogue.rows("flips")]

    def close(self) -> None:
        """Close the store."""
        self._con.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Incident {self.name!r}>"
