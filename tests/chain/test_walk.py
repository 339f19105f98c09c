"""The walk's decisions: which cause is the root, which stand beside it, and what the chain may claim."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from postmortem.chain import model
from postmortem.chain.kind import Found
from postmortem.chain.model import Grade, Link
from postmortem.chain.walk import _may_be_blamed, _may_carry, _nearest, _strength, _takes_a_share, _verdict, kinds

P, S, C = Grade.PROVEN, Grade.SUPPORTED, Grade.CIRCUMSTANTIAL


def found(
    kind: str = "quant_stall",
    grade: Grade = P,
    share: float | None = None,
    goes: tuple[float, float] | None = None,
    **more: Any,
) -> Found:
    """A node that was found, with the interval of how much of the effect goes without it."""
    tests = (model.Test("counterfactual", None, "", share, "share", *goes),) if goes else ()
    return Found(Link(kind, "", grade, iteration=more.pop("iteration", None), tests=tests), share, **more)


@pytest.mark.parametrize(
    "path",
    [
        *(f"{root} straggler_rank collective_inflation batch_change algo_churn token_flip" for root in
          ("quant_stall", "kv_eviction", "memory_evaporation", "workspace_fallback", "kv_residency_loss", "slow_gpu")),
        *(f"{root} step_stretch batch_change algo_churn token_flip" for root in
          ("quant_stall", "kv_eviction", "memory_evaporation", "workspace_fallback", "kv_residency_loss", "slow_gpu")),
        "fabric_congestion collective_inflation batch_change algo_churn token_flip",
        "load_surge batch_change algo_churn token_flip",
        "isolation_change batch_change algo_churn token_flip",
        "workspace_fallback algo_churn token_flip",
        "quant_stall precision_change token_flip",
        "memory_evaporation precision_change token_flip",
        "memory_evaporation kv_eviction",
        "effective_request_drift token_flip",
        "decode_config_drift token_flip",
    ],
)  # fmt: skip
def test_chains_that_occur(path: str) -> None:
    """Each chain that is known to occur can be walked: its first node is a root cause, each leads to the next."""
    nodes = path.split()
    assert kinds()[nodes[0]].role == "root"
    assert all(after in kinds()[before].leads_to for before, after in pairwise(nodes))


def test_strongest_first() -> None:
    """The better grade, then what takes more of the effect in whole percent, then what began later."""
    ordered = [
        found(grade=P, share=1.3, iteration=9),  # more than all of it is all of it
        found(grade=P, share=1.0, iteration=8),
        found(grade=P, share=0.899, iteration=7),  # 90 % as well
        found(grade=P, share=0.901, iteration=6),
        found(grade=P, iteration=99),
        found(grade=S, share=1.0, iteration=99),
        found(grade=C, share=1.0, iteration=99),
    ]
    assert sorted(ordered[1::2] + ordered[::2], key=_strength) == ordered


@pytest.mark.parametrize(
    ("other", "best", "beside"),
    [
        (found(share=0.19), found(share=0.6, goes=(0.5, 0.9)), False),  # the best leaves 40 %: half of it is 20 %
        (found(share=0.21), found(share=0.6, goes=(0.5, 0.9)), True),
        (found(share=0.49), found(share=0.6, goes=(0.5, 1.0)), False),  # it may take all
        (found(share=0.5), found(share=0.6, goes=(0.5, 1.0)), True),
        (found(share=0.49), found(share=0.6), False),
        (found(grade=C, share=0.9), found(share=0.6, goes=(0.5, 0.9)), False),
        (found(grade=S), found(share=0.6), True),  # how much either takes is not known
        (found(share=0.1), found(), True),
    ],
)
def test_what_stands_beside_the_best(other: Found, best: Found, beside: bool) -> None:
    """Half of what the best cause leaves; half of the whole where it may take all."""
    assert _takes_a_share(other, best) is beside


def test_what_may_carry_the_effect() -> None:
    """By its interval, or with others of its kind; for all we know where there is none."""
    assert [_may_carry(found(goes=(0.1, high))) for high in (0.49, 0.5)] == [False, True]
    assert _may_carry(found(goes=(0.1, 0.3), together=(0.4, 0.8)))
    assert not _may_carry(found(goes=(0.1, 0.9), together=(0.1, 0.3)))
    assert _may_carry(found())


def test_no_root_for_having_begun_earlier_alone() -> None:
    """A circumstantial root cause is not named; a circumstantial effect is a link all the same."""
    assert [_may_be_blamed(found("quant_stall", g)) for g in (P, S, C)] == [True, True, False]
    assert _may_be_blamed(found("straggler_rank", C))


def test_the_nearer_one_is_met_first() -> None:
    """Pins that force an eviction are met behind it; they stay where the eviction cannot be a link itself."""
    pins = found("memory_evaporation")
    assert [f.link.kind for f in _nearest([pins, found("kv_eviction")])] == ["kv_eviction"]
    for weak in (found("kv_eviction", C), found("kv_eviction", goes=(0.0, 0.3))):
        assert _nearest([pins, weak]) == [pins, weak]


@pytest.mark.parametrize(
    ("grades", "root", "exact", "same", "expected"),
    [
        ((P, S, P), True, True, True, "explained"),
        ((P, C, P), True, True, True, "partial"),
        ((P, P, P), False, True, True, "partial"),
        ((P, P, P), True, False, True, "partial"),  # earlier steps are not recorded: the first difference seen
        ((P,), False, True, True, "unexplained"),
        ((P, P), True, True, None, "explained"),
        ((P, P), True, True, False, "different_input"),
        ((P,), False, False, False, "different_input"),
    ],
)
def test_verdict(grades: tuple[Grade, ...], root: bool, exact: bool, same: bool | None, expected: str) -> None:
    """explained: a root cause, every link at least supported, and the very first difference."""
    links = [Link("token_flip", "", g) for g in grades]
    case: Any = SimpleNamespace(input=SimpleNamespace(same=same), flip=SimpleNamespace(exact=exact))
    assert str(_verdict(case, links, links[0] if root else None)) == expected


GREEDY = {"temperature": 0}


@pytest.mark.parametrize(
    ("alone", "what"),
    [
        ({"effective_text_sha256": None}, "whether any other request saw the same text"),
        pytest.param({"decode_cfg_applied": None}, "how the request was decoded", marks=pytest.mark.slow),
        ({"decode_cfg_applied": {"temperature": 0.8}}, "a twin of this sampled request"),
        pytest.param({"token_id": None}, "which tokens it gave", marks=pytest.mark.slow),
        ({}, "a replay of this request"),
    ],
)
def test_why_there_is_no_reference(tmp_path: Path, opened: Any, alone: dict[str, Any], what: str) -> None:
    """One request, served once: what it lacks to be compared is named."""
    x = {"record": "x", "req_id": "q", "effective_text_sha256": "0b" * 32, "decode_cfg_applied": GREEDY}
    s = {"record": "s", "req_id": "q", "step": 0, "token_id": 5}
    records = [{k: alone.get(k, v) for k, v in record.items()} for record in (x, s)]
    if alone == {"token_id": None}:
        records = records[:1]  # no step at all
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
    chain = opened(tmp_path).chain("q")
    assert (str(chain.verdict), chain.reference, chain.missing[0].what) == ("no_reference", None, what)
