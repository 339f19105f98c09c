"""Made-up chains and frames for the tests of render: plain, small, and hostile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from postmortem.chain.model import (
    Alternative,
    Chain,
    Evidence,
    Flip,
    Grade,
    Link,
    Missing,
    RootCause,
    Test,
    Verdict,
)

START = 1_793_613_600_000_000_000
MS = 1_000_000
#: Text that breaks out of HTML, script, attributes, terminals and reading order where it can.
HOSTILE = "</script><script>window.broken=1</script>\"'<img src=x onerror=broken()>&\x1b[31m\u202ecod\x00"

ONSET = 300
END = 360
FLIP = 352


def at(iteration: int) -> int:
    """The start of an iteration of the made-up incident, UTC epoch ns."""
    late = min(max(iteration - ONSET, 0), END - ONSET)
    return START + (iteration * 10 + late * 4) * MS


def _tests(holds: bool = True) -> tuple[Test, ...]:
    return (
        Test("order", True, "starts 6.2 ms ahead, clocks agree to 0.04 ms", 6.2, "ms", 6.1, 6.3),
        Test("size", True, "1.9 ms against 0.7 ms, 14 MAD above the calm median", 14.0, "MAD"),
        Test("specificity", holds, "none of 400 shifted windows shows as much", 0.0025, ""),
        Test("mechanism", True, "same replica, rank and iterations 300 to 360"),
        Test("counterfactual", None, "cannot be computed for this kind"),
    )


def links() -> tuple[Link, ...]:
    """The canonical path: quant_stall on rank 1 to the flip."""
    common = {"replica": "b", "tests": _tests()}
    return (
        Link(
            "quant_stall",
            "rank 1 spent 1.2 ms more than its calm median in dequantisation",
            Grade.PROVEN,
            rank=1,
            start_ns=at(ONSET),
            end_ns=at(END),
            iteration=ONSET,
            value=1.9,
            baseline=0.7,
            unit="ms",
            p_value=0.0004,
            evidence=(Evidence("rank_iterations", {"replica": "b", "rank": 1}, 60),),
            **common,  # type: ignore[arg-type]
        ),
        Link(
            "straggler_rank",
            "rank 1 arrived last at 412 of 420 all-reduces",
            Grade.PROVEN,
            rank=1,
            start_ns=at(ONSET) + 2 * MS,
            end_ns=at(END),
            iteration=ONSET,
            value=0.98,
            baseline=0.51,
            unit="ratio",
            p_value=0.0001,
            evidence=(Evidence("collectives", {"replica": "b"}, 420),),
            **common,  # type: ignore[arg-type]
        ),
        Link(
            "collective_inflation",
            "all-reduces took 2.0 times their calm median, nearly all of it waiting",
            Grade.PROVEN,
            start_ns=at(ONSET) + 3 * MS,
            end_ns=at(END),
            iteration=ONSET,
            value=4.1,
            baseline=2.05,
            unit="ms",
            evidence=(Evidence("collectives", {"replica": "b"}, 420),),
            **common,  # type: ignore[arg-type]
        ),
        Link(
            "batch_change",
            "the scheduler cut the batch from 32 to 12",
            Grade.SUPPORTED,
            start_ns=at(ONSET + 20),
            end_ns=at(END + 40),
            iteration=ONSET + 20,
            value=12.0,
            baseline=32.0,
            unit="sequences",
            evidence=(Evidence("iterations", {"replica": "b"}, 60),),
            **common,  # type: ignore[arg-type]
        ),
        Link(
            "algo_churn",
            "tactic gemv_splitk ran where the reference had gemm_tile8",
            Grade.CIRCUMSTANTIAL,
            start_ns=at(ONSET + 21),
            end_ns=at(END + 40),
            iteration=ONSET + 21,
            evidence=(Evidence("request_steps", {"req_id": "r-17"}, 64),),
            **common,  # type: ignore[arg-type]
        ),
        Link(
            "token_flip",
            "token 1187 instead of 903 at a margin within the noise between tactics",
            Grade.PROVEN,
            start_ns=at(FLIP),
            end_ns=at(FLIP),
            iteration=FLIP,
            value=0.0021,
            baseline=0.35,
            unit="logits",
            evidence=(Evidence("flips", {"req_id": "r-17"}, 1),),
            **common,  # type: ignore[arg-type]
        ),
    )


def chain() -> Chain:
    """A whole chain, explained, with everything that a chain can hold."""
    return Chain(
        bundle="incident-2026-11-02",
        req_id="r-17",
        reference="r-3",
        verdict=Verdict.EXPLAINED,
        confidence=None,
        flip=Flip(41, True, 1187, 903, 0.0021, FLIP, "b", at(FLIP)),
        root_cause=RootCause("quant_stall", 1, "b", at(ONSET), at(END)),
        links=links(),
        contributing=(RootCause("load_surge", None, "b", at(280), at(400)),),
        alternatives=(
            Alternative("fabric_congestion", "ranks other than 1 show no slower transfer: 0.98x"),
            Alternative("slow_gpu", "rank 1's other kernels ran at their calm pace: 1.01x"),
        ),
        missing=(Missing("whether rank 1's clocks dropped", "GPU metrics: nsys --gpu-metrics-device=all"),),
        narrative=(
            "Rank 1's dequantisation stall made all-reduces 2.0x slower for 60 iterations; the "
            "scheduler cut the batch from 32 to 12; the smaller batch ran another tactic, and "
            "token 41 of r-17 flipped at a margin of 0.0021."
        ),
    )


def empty_chain() -> Chain:
    """A chain with nothing found: no reference, no flip, no link."""
    return Chain("calm", "r-1", None, Verdict.NO_REFERENCE, None, None, None, (), (), (), (), "")


def hostile_chain() -> Chain:
    """A chain whose every text is hostile."""
    base = chain()
    link = replace(
        base.links[0],
        kind=HOSTILE,
        summary=HOSTILE,
        replica=HOSTILE,
        unit=HOSTILE,
        tests=(Test(HOSTILE, True, HOSTILE, 1.0, HOSTILE),),
        evidence=(Evidence(HOSTILE, {HOSTILE: HOSTILE}, 1),),
    )
    return replace(
        base,
        bundle=HOSTILE,
        req_id=HOSTILE,
        reference=HOSTILE,
        flip=Flip(41, True, 1187, 903, 0.0021, FLIP, HOSTILE, at(FLIP)),
        links=(link, *base.links[1:]),
        alternatives=(Alternative(HOSTILE, HOSTILE),),
        contributing=(RootCause(HOSTILE, None, HOSTILE, None, None),),
        missing=(Missing(HOSTILE, HOSTILE),),
        narrative=HOSTILE,
    )


def chart_frames(iterations: int = 450, ranks: int = 2) -> dict[str, pl.DataFrame]:
    """The frames as the charts want them: roles and phases set, the links as rows."""
    from postmortem.render.frames import links_frame

    got = frames(iterations, ranks)
    role = pl.when(pl.col("req_id") == "r-17").then(pl.lit("request")).otherwise(pl.lit("reference"))
    phase = pl.when(pl.col("iteration").is_between(ONSET, END)).then(pl.lit("pressured")).otherwise(pl.lit("calm"))
    return {
        **got,
        "request_steps": got["request_steps"].with_columns(role=role),
        "tactic_iterations": got["iterations"].with_columns(phase=phase),
        "links": links_frame(chain()),
        "baseline": pl.DataFrame({"start_ns": [at(50)], "end_ns": [at(250)]}),
    }


def frames(iterations: int = 450, ranks: int = 2, text: str | None = None) -> dict[str, pl.DataFrame]:
    """The catalogue's frames for the made-up incident, by query name; ``text`` poisons names."""
    rng = np.random.default_rng(7)
    replica = text or "b"
    its, rank_its, colls = [], [], []
    t = START
    for n in range(iterations):
        bad = ONSET <= n < END
        batch = 32 if n < ONSET + 20 or n > END + 40 else 12
        late = 5.0 if bad else 0.2
        compute = (3.0 + batch / 12) + rng.normal(0, 0.1, ranks)
        stall = np.zeros(ranks)
        stall[min(1, ranks - 1)] = late + rng.exponential(0.1)
        busy = compute + stall
        last = float(busy.max())
        transfer = 0.9 + float(rng.exponential(0.05))
        total = last + transfer + 0.3
        spare = 10.0 - total + (4.0 if bad else 0.0)
        end = t + int((total + spare) * MS)
        for rank in range(ranks):
            rank_its.append(  # noqa: PERF401  one row a rank reads better as a loop
                {
                    "replica": replica,
                    "rank": rank,
                    "iteration": n,
                    "start_ns": t,
                    "end_ns": end,
                    "compute_ns": int(busy[rank] * MS),
                    "comm_ns": int(transfer * MS),
                    "sync_ns": int((last - busy[rank]) * MS),
                    "idle_ns": int((0.3 + spare) * MS),
                }
            )
        for seq in range(3):
            first = t + int(float(busy.min()) * MS * (seq + 1) / 3)
            spread = int((last - float(busy.min())) * MS / 3)
            colls.append(
                {
                    "replica": replica,
                    "comm": "0x1",
                    "seq": n * 3 + seq,
                    "op": text or "AllReduce",
                    "bytes": 16384,
                    "ranks": ranks,
                    "first_arrival_ns": first,
                    "last_arrival_ns": first + spread,
                    "end_ns": first + spread + int(transfer * MS / 3),
                    "wait_ns": spread,
                    "transfer_ns": int(transfer * MS / 3),
                    "straggler_rank": int(busy.argmax()),
                    "source": "nvtx",
                }
            )
        its.append(
            {
                "replica": replica,
                "iteration": n,
                "start_ns": t,
                "end_ns": end,
                "gpu_ms": total,
                "comm_ms": transfer + last - float(busy.mean()),
                "sync_ms": last - float(busy.mean()),
                "batch_size": batch,
                "requests": batch,
                "queue_ms": 40.0 if bad else 1.0,
                "vram_free_mb": 4000.0,
                "workspace_free_mb": 64.0,
                "kv_pool_total_mb": 8000.0,
                "isr_pinned_mb": None,
                "ckpt_pinned_mb": None,
                "algo_id": text or ("gemm_tile8" if batch == 32 else f"gemv_split{n % 3}"),
                "dequant_cycles": 9 if bad else 2,
            }
        )
        t = end
    starts = [row["start_ns"] for row in its]
    first_step = max(0, min(FLIP, iterations - 1) - 41)
    steps = [
        {
            "req_id": text or req,
            "step": s,
            "iteration": first_step + s,
            "ts_ns": starts[min(first_step + s, iterations - 1)],
            "replica": replica,
            "batch_size": its[min(first_step + s, iterations - 1)]["batch_size"],
            "algo_id": text or ("gemm_tile8" if req == "r-3" else its[min(first_step + s, iterations - 1)]["algo_id"]),
            "precision_path": text or "bf16",
            "token_id": 1000 + s,
            "margin": 0.0021 if s == 41 else float(rng.lognormal(-1.5, 0.9)),
        }
        for req in ("r-17", "r-3")
        for s in range(64)
        if first_step + s < iterations
    ]
    flips = [
        {
            "req_id": text or "r-17",
            "reference": "r-3",
            "step": 41,
            "token_id": 1187,
            "reference_token_id": 903,
            "margin": 0.0021,
            "replica": replica,
            "iteration": min(FLIP, iterations - 1),
            "ts_ns": starts[min(FLIP, iterations - 1)],
        },
        {
            "req_id": "r-22",
            "reference": "r-4",
            "step": 12,
            "token_id": 11,
            "reference_token_id": 12,
            "margin": 0.012,
            "replica": replica,
            "iteration": min(340, iterations - 1),
            "ts_ns": starts[min(340, iterations - 1)],
        },
    ]
    sources = [
        {
            "path": text or "s.jsonl",
            "kind": "s_records",
            "bytes": 120_000,
            "sha256": "ab" * 32,
            "rows": 5000,
            "rejected": 1,
            "ignored": 0,
            "first_ns": START,
            "last_ns": t,
            "rank": None,
            "replica": replica,
            "version": text or "2024.1.1",
            "error": text,
        }
    ]
    settings = [{"origin": "bundle.toml", "name": text or "deployment.tp", "value": text or "2", "sources": 0}]
    requests = [
        {"req_id": text or req, "replica": replica, "first_ns": at(FLIP - 41), "last_ns": at(FLIP + 22)}
        for req in ("r-17", "r-3", "r-22")
    ]
    rejects = [{"path": "s.jsonl", "place": "line 12", "reason": text or "torn", "text": text or "{"}]
    return {
        "iterations": pl.DataFrame(its, infer_schema_length=None),
        "rank_iterations": pl.DataFrame(rank_its),
        "collectives": pl.DataFrame(colls),
        "request_steps": pl.DataFrame(steps),
        "flips": pl.DataFrame(flips),
        "sources": pl.DataFrame(sources),
        "rejects": pl.DataFrame(rejects),
        "settings": pl.DataFrame(settings),
        "requests": pl.DataFrame(requests),
        **hardware(iterations, ranks, text),
        **transfers(ranks, text),
        **loads(text),
        "fragment_iterations": pl.DataFrame(
            [
                {k: row[k] for k in ("replica", "iteration", "start_ns", "batch_size", "algo_id")}
                | {"tokens": row["batch_size"], "utilisation": 1.0 if row["batch_size"] == 32 else 0.75}
                for row in its
            ]
        ),
        "plan_noise_between": pl.DataFrame(
            {
                "tactic": [text or f"gemv_split{n}" for n in range(3)],
                "reference_tactic": text or "gemm_tile8",
                "precision": text or "bf16",
                "reference_precision": text or "bf16",
                "most_moved": [0.01, 0.02, 0.015],
            }
        ),
    }


def loads(text: str | None = None) -> dict[str, pl.DataFrame]:
    """Other plans and flips by load in the made-up incident: beyond 30 ms in the queue most steps ran another plan."""
    curve = [
        {
            "replica": text or "b", "load": text or load, "load_from": least + 10 * n, "load_to": least + 10 * n + 5,
            "iterations": 45, "steps": 900, "churn": churn, "churn_low": churn * 0.9, "churn_high": churn * 0.9 + 0.1,
            "flips": n, "flip": n / 900, "flip_low": n / 1000, "flip_high": n / 700 + 0.004,
        }
        for load, least in (("concurrency", 10.0), ("queue_ms", 0.0), ("free_mb", 4000.0))
        for n, churn in enumerate((0.0, 0.02, 0.05, 0.8, 0.9))
    ]  # fmt: skip
    found = [
        {
            "replica": text or "b", "load": text or load, "outcome": text or outcome, "iterations": 225,
            "threshold": 28.0, "low": 24.0, "high": 31.0, "share_beyond": 0.9, "share_within": 0.03,
            "separation": 0.87, "p_value": p,
        }
        for load, outcome, p in (("queue_ms", "churn", 0.006), ("queue_ms", "flip", 0.3), ("concurrency", "churn", 0.4))
    ]  # fmt: skip
    return {"load_curve": pl.DataFrame(curve), "state_collapse": pl.DataFrame(found)}


def transfers(ranks: int = 2, text: str | None = None) -> dict[str, pl.DataFrame]:
    """Transfers of the made-up incident by size, and their lines: 10 µs and 5 GB/s, congested 10 µs and 2 GB/s."""
    key = {"replica": text or "b", "comm": text or "0x1", "op": text or "AllReduce", "ranks": ranks}
    sizes, lines = [], []
    for regime, beta in (("normal", 5.0), ("congested", 2.0)):
        for size in (4096, 16384, 65536, 262144):
            median = 10 + size / beta / 1e3
            figures = {"median_us": median, "low_us": median * 0.9, "high_us": median * 1.4}
            sizes.append(
                {**key, "regime": text or regime, "bytes": size, "messages": 300, **figures}
                | {"longest_us": median * 3, "longest_seq": size % 97}
            )
        alpha = {"alpha_us": 10.0, "alpha_low_us": 9.0, "alpha_high_us": 11.0}
        slope = {"beta_gbps": beta, "beta_low_gbps": beta * 0.9, "beta_high_gbps": beta * 1.1}
        lines.append({**key, "regime": text or regime, **alpha, **slope, "sizes": 4, "messages": 1200})
    return {"transfer_sizes": pl.DataFrame(sizes), "transfer_lines": pl.DataFrame(lines)}


def hardware(iterations: int = 450, ranks: int = 2, text: str | None = None) -> dict[str, pl.DataFrame]:
    """Frames of regimes, clocks, warp stalls and the L2 cache for the made-up incident: rank 1 loses residency."""
    replica = text or "b"
    regimes = [("normal", 0.7), ("queue_degraded", 0.1), ("paging", 0.2)]
    return {
        "regime_occupancy": pl.DataFrame(
            [
                {
                    "replica": replica, "rank": rank, "regime": text or regime, "share": share, "times": 1,
                    "iterations": int(iterations * share), "total_ns": int(iterations * share * 10 * MS),
                }
                for rank in (None, *range(ranks))
                for regime, share in (regimes if rank != 0 else regimes[:1])
            ],
            infer_schema_length=None,
        ),
        "clock_offsets": pl.DataFrame(
            [
                {
                    "source": f"{text or 'b'}/rank{rank}.sqlite", "replica": replica, "rank": rank,
                    "offset_ns": 1_500 - 3_000 * rank, "drift_ppm": 0.2, "uncertainty_ns": 2_000 + 500 * rank,
                    "method": text or "the common end of 450 collectives", "from_ns": None,
                }
                for rank in range(ranks)
            ]
            + [
                {
                    "source": text or "b/s.jsonl", "replica": replica, "rank": None, "offset_ns": 0, "drift_ppm": None,
                    "uncertainty_ns": None, "method": text or "recorded in UTC", "from_ns": None,
                }
            ],
            infer_schema_length=None,
        ),
        "warp_stalls": pl.DataFrame(
            [
                {"kernel_name": text or kernel, "reason": text or reason, "share": part, "stalled": part is not None}
                for kernel, memory in (("gemm_tile8", 0.2), ("gemv_split0", 0.7))
                for reason, part in (
                    ("long_scoreboard", memory),
                    ("barrier", 0.9 - memory),
                    ("wait", 0.1),
                    ("selected", None),
                )
            ],
            infer_schema_length=None,
        ),
        "rank_residency": pl.DataFrame(
            [
                {
                    "rank": rank, "iteration": n,
                    "l2_hit": 35.0 if rank == 1 and ONSET <= n < END else 80.0 + n % 3,
                    "long_scoreboard": 0.6 if rank == 1 and ONSET <= n < END else 0.2,
                }
                for n in range(iterations)
                for rank in range(ranks)
            ]
        ),
    }  # fmt: skip
