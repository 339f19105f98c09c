"""Made-up catalogues answer findings too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.render.catalogue import findings_as_frames


@pytest.fixture(scope="package", autouse=True)
def _findings_as_frames() -> Iterator[None]:
    with findings_as_frames():
        yield
