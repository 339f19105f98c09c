"""Shape classes and fragments against a count in Python, with requests and ranks renamed, and on a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from tests.queries.test_every_query import store_with


def recorded(seed: int) -> list[dict[str, Any]]:
    """30 iterations of two replicas: batches of 1 to 70, of which up to four requests made records, and two ranks."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for i in range(30):
        shared = {
            "replica": "ab"[i % 2],
            "iteration": i,
            "batch_size": int(rng.integers(4, 70)),
            "vram_free_mb": 4000.0,
        }
        tactic = str(rng.choice(["t", "u"]))
        for r in range(int(rng.integers(1, 5))):
            shape = f"q={rng.choice([1, 1, 1, 4])},k={rng.integers(1, 300)},h=8,d=500,tp=2"
            rows.append({**shared, "req_id": f"{shared['replica']}{r}", "step": i, "shape": shape, "algo_id": tactic})
        rows += [{**shared, "rank": r, "algo_id": tactic, "workspace_free_mb": 100.0 * r} for r in (0, 1)]
    return [{"line": n, **row} for n, row in enumerate(rows)]


def number(shape: str, key: str) -> int:
    return int(dict(part.split("=") for part in shape.split(","))[key])


def expected(rows: list[dict[str, Any]], fragment: int) -> dict[tuple[str, int], dict[str, Any]]:
    """What each iteration multiplies, by going through its requests."""
    found = {}
    for place in {(row["replica"], row["iteration"]) for row in rows}:
        own = [row for row in rows if (row["replica"], row["iteration"]) == place and "req_id" in row]
        tokens, lengths = own[0]["batch_size"], [number(row["shape"], "k") for row in own]
        for row in own:
            tokens += number(row["shape"], "q") - 1
        padded = next(n for n in range(tokens, tokens + fragment) if n % fragment == 0)
        full = sum(next(n for n in range(k, k + fragment) if n % fragment == 0) for k in lengths)
        filling = next(n for n in range(1, fragment + 1) if (tokens - n) % fragment == 0)
        found[place] = {
            "tokens": tokens, "padded": padded, "utilisation": pytest.approx(tokens / padded),
            "last_fragment": pytest.approx(filling / fragment), "kv_utilisation": pytest.approx(sum(lengths) / full),
        }  # fmt: skip
    return found


@pytest.mark.parametrize(("seed", "fragment"), [(1, 16), (2, 8), (3, 1)])
def test_against_a_count(seed: int, fragment: int) -> None:
    """Tokens and fragments of every iteration, summed over classes, and every class holding what its name says."""
    rows = recorded(seed)
    catalogue = Catalogue(store_with({"s_records": rows}))
    iterations = catalogue.rows("fragment_iterations", fragment=fragment)
    counted = expected(rows, fragment)
    assert len(iterations) == len(counted) == 30
    for row in iterations:
        own = counted[row["replica"], row["iteration"]]
        assert {name: row[name] for name in own} == own
        tokens, longest, *rest = row["shape_class"].split(",")
        low, _, high = tokens.removeprefix("tokens=").partition("-")
        assert int(low) <= row["tokens"] <= int(high or low)
        assert bool(high) == (row["tokens"] % fragment != 0 and fragment > 2)
        low, _, high = longest.removeprefix("k=").partition("-")
        lengths = [number(r["shape"], "k") for r in rows if r["iteration"] == row["iteration"] and "shape" in r]
        assert int(low) <= max(lengths) <= int(high or low) <= 2 * max(lengths)
        assert rest == ["h=8", "d=500", "tp=2"]
    for one in catalogue.rows("fragment_utilisation", fragment=fragment):
        own_rows = [r for r in iterations if (r["replica"], r["shape_class"]) == (one["replica"], one["shape_class"])]
        assert one["iterations"] == len(own_rows)
        padded = sum(r["padded"] for r in own_rows)
        assert one["utilisation"] == pytest.approx(sum(r["tokens"] for r in own_rows) / padded)
        assert one["hidden_utilisation"] == pytest.approx(250 / {16: 256, 8: 256, 1: 250}[fragment])
    mix = catalogue.rows("tactic_mix", fragment=fragment)
    assert sum(row["steps"] for row in mix) == sum("req_id" in row for row in rows)
    for replica in "ab":
        assert sum(row["phase_share"] for row in mix if row["replica"] == replica) == pytest.approx(1)


@pytest.mark.slow
def test_names_do_not_count() -> None:
    """Requests renamed and records shuffled change nothing; ranks exchanged exchange their rows."""
    rows = recorded(4)
    other = [
        {**row, "line": 500 - row["line"], **({"req_id": "x" + row["req_id"][::-1]} if "req_id" in row else {}),
         **({"rank": 1 - row["rank"]} if "rank" in row else {})}
        for row in reversed(rows)
    ]  # fmt: skip
    one, two = (Catalogue(store_with({"s_records": given})) for given in (rows, other))
    for query in ("tactic_mix", "iteration_tactics", "fragment_utilisation", "fragment_iterations"):
        assert one.rows(query) == two.rows(query)
    exchanged = [{**row, "rank": 1 - row["rank"]} for row in two.rows("rank_tactics")]
    assert sorted(exchanged, key=lambda r: (r["replica"], r["rank"], r["iteration"])) == one.rows("rank_tactics")


def test_the_labs_sawtooth(shipped: dict[str, Incident]) -> None:
    """As read off the records: 26 sequences, then four times 12 and 17, and back; one begun fragment at 17."""
    rows = shipped["straggler"].query("fragment_iterations", replica="b").to_dicts()
    runs: list[tuple[int, int, float, float, str]] = []
    for row in rows:
        shape = (row["tokens"], row["utilisation"], row["last_fragment"], row["algo_id"])
        if not runs or runs[-1][1:] != shape:
            runs.append((row["iteration"], *shape))
    low, high = (12, 0.75, 0.75, "42"), (17, 17 / 32, 1 / 16, "43")
    assert runs == [
        (0, 26, 26 / 32, 10 / 16, "43"), (235, *low), (267, *high), (274, *low), (294, *high), (301, *low),
        (324, *high), (331, *low), (353, *high), (365, 22, 22 / 32, 6 / 16, "43"), (377, 26, 26 / 32, 10 / 16, "43"),
    ]  # fmt: skip
