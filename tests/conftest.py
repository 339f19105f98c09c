"""Fixtures: a cache of its own for every test run, bundles opened, the real files where they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

from postmortem.api import Incident, open_bundle

ROOT = Path(__file__).parents[1]
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # as in the command: two seconds a worker

settings.register_profile("suite", deadline=None)  # no test is timed: a busy machine fails none
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the user's cache; the workers of a run share one, where what one has read need not be
    read by the other.
    """
    before = os.environ.get("XDG_CACHE_HOME")
    place = tmp_path_factory.getbasetemp()
    place = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "cache"
    place.mkdir(exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(place)
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture
def opened() -> Iterator[Callable[..., Incident]]:
    """Opens bundles and closes them at the end."""
    incidents: list[Incident] = []

    def opener(path: Path, **options: object) -> Incident:
        incidents.append(open_bundle(path, **options))  # type: ignore[arg-type]
        return incidents[-1]

    yield opener
    for incident in incidents:
        incident.close()


@pytest.fixture(scope="session")
def shipped() -> Iterator[dict[str, Incident]]:
    """The shipped recordings by name, opened once."""
    found = {p.parent.name: open_bundle(p) for p in sorted((ROOT / "sample_traces" / "incidents").glob("*/bundle"))}
    yield found
    for incident in found.values():
        incident.close()


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real exports and logs; tests that want it skip where it is absent."""
    place = Path(os.environ.get("POSTMORTEM_REAL", ROOT.parent / "shared" / "real"))
    if not place.is_dir():
        pytest.skip(f"the real files are not here ({place}); set POSTMORTEM_REAL")
    return place
