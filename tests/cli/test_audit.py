"""``postmortem audit``: what was recorded, what cannot be concluded, and what would record it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from builders import straggler, write_bundle

from postmortem.api import Incident
from postmortem.chain.contract import CONTRACT
from postmortem.chain.kinds.token_flip import KERNELS
from postmortem.render.audit_text import audit_text
from postmortem.store.schema import tables

Opener = Callable[..., Incident]
ORDER = ["absent", "partly", "recorded"]


def test_every_field_of_the_contract_is_a_column() -> None:
    """The contract names fields as the store has them, x or s, and each part says what records it."""
    columns = {"x": tables()["x_records"].column_names, "s": tables()["s_records"].column_names}
    for part in CONTRACT:
        assert set(part.fields) <= set(columns["x" if part.record == "x" else "s"])
        assert any(field in part.how for field in part.fields)


def test_a_setting_records_by_itself() -> None:
    """SGLang logs no request without --log-requests, whatever the level; nsys takes -t only behind a command."""
    for how in [part.how for part in CONTRACT] + [KERNELS]:
        assert how.count("--log-requests-level") == how.count("--log-requests --log-requests-level")
        assert "nsys -" not in how


def test_what_is_missing_is_named(tmp_path: Path, opened: Opener) -> None:
    """Without a precision path no plan is proven; the part is absent, and the field that records it is named."""
    found = opened(write_bundle(tmp_path, *straggler())).audit()
    assert (found.proven, found.partly, found.absent) == (0, 12, 0)
    assert found.answer == "No: requests lack precision_path (12)."
    (part,) = [f for f in found.contract if f.part == "precision path"]
    assert (part.status, part.recorded, part.records) == ("absent", 0, 1440)  # 2 replicas, 6 requests, 120 steps
    assert "precision_path" in part.how


def test_what_the_chain_cannot_use_is_no_record_of_it(tmp_path: Path, opened: Opener) -> None:
    """Kernels' names and fingerprints of batches beside no tactic and no size: the chain names both as missing."""
    bundle = write_bundle(tmp_path, *straggler())
    for file in bundle.glob("*.jsonl"):
        text = file.read_text().replace('"algo_id":', '"kernel_variant":')
        file.write_text(re.sub(r'"batch_size": (\d+)', r'"batch_fp": "\1"', text))
    incident = opened(bundle)
    assert "algo_id in the s records of both" in [m.record for m in incident.chain("b-1").missing]
    status = {f.part: f.status for f in incident.audit().contract}
    assert (status["tactic"], status["batch"]) == ("absent", "absent")


def test_all_recorded(tmp_path: Path, opened: Opener) -> None:
    """With the precision beside the rest, the plan of every request is proven."""
    traces = straggler()
    for trace in traces:
        trace.request_fields = {"precision_path": lambda _: "bf16"}
    found = opened(write_bundle(tmp_path, *traces)).audit()
    assert found.answer.startswith("Yes: for all 12 requests")


@pytest.mark.parametrize("gone", ["algo_id", "margin", "effective_text_sha256", "iteration", "rank"])
def test_less_is_never_more(tmp_path: Path, opened: Opener, gone: str) -> None:
    """A field taken out never raises the status of any part, nor the number of proven requests."""

    def statuses(folder: Path, quiet: tuple[str, ...]) -> tuple[int, dict[str, int]]:
        traces = straggler()
        for trace in traces:
            trace.quiet = quiet
            trace.request_fields = {"precision_path": lambda _: "bf16"}
        found = opened(write_bundle(folder, *traces)).audit()
        return found.proven, {f.part: ORDER.index(f.status) for f in found.contract}

    proven, whole = statuses(tmp_path / "whole", ())
    fewer, less = statuses(tmp_path / "less", (gone,))
    assert fewer <= proven
    assert all(less[part] <= whole[part] for part in whole)
    assert less != whole


def test_losses_and_json(tmp_path: Path, opened: Opener) -> None:
    """A rejected record is a loss; the JSON names its schema; the text names the loss."""
    bundle = write_bundle(tmp_path, *straggler())
    with (bundle / "b.jsonl").open("a") as file:
        file.write('{"record": "s", "req_id": "b-1", "step": "three"}\n')
    found = opened(bundle).audit()
    assert [(loss["path"], loss["message"]) for loss in found.losses] == [("b.jsonl", "1 record rejected")]
    assert json.loads(msgspec.json.encode(found.to_dict()))["schema"] == "postmortem.audit/1"
    text = audit_text(found)
    assert text.startswith("Can this bundle prove which plan ran?\nNo: requests lack precision_path (12).")
    assert "b.jsonl: 1 record rejected" in text
    assert max(map(len, text.splitlines())) <= 80
