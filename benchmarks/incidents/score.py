"""Score a tool on simulated incidents.

    python -m benchmarks.incidents.score --seeds 1000-1119 -o DIR
    python -m benchmarks.incidents.score --seeds 5000-5239 -o DIR --results benchmarks/incidents/results.md

Seeds from 1000 on are for developing, from 5000 on for scoring: what is tuned on the one is told on the other.
``--tool`` is the command of a worker (see worker.py); ``--answers FILE`` keeps every answer with its truth.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.incidents.simulate import scenario_of, simulate

MARK = "<!-- scores -->"  # what stands above it in the file of results is written by hand
ASKED = 4  # requests asked about in one bundle: flips of one cause are no independent cases


def main() -> None:
    """Simulate, ask, count, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="1000-1063", metavar="FIRST-LAST")
    parser.add_argument("--tool", default=f"{sys.executable} -m benchmarks.incidents.worker")
    parser.add_argument("--padded", action="store_true", help="in a world whose servers pad batches to set sizes")
    parser.add_argument("--prompt", type=float, default=0.0, help="what a prompt takes, of a calm iteration")
    parser.add_argument(
        "--memory", type=float, default=0.0, help="correlation of the jitter from iteration to iteration"
    )
    parser.add_argument("-o", type=Path, required=True, help="where the bundles go")
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--results", type=Path)
    args = parser.parse_args()
    first, last = map(int, args.seeds.split("-"))
    answers = list(
        ask(args.tool, range(first, last + 1), args.o, padded=args.padded, prompt=args.prompt, memory=args.memory)
    )
    if args.answers:
        args.answers.write_text("".join(json.dumps(a) + "\n" for a in answers))
    text = report(answers, args.seeds)
    print(text)
    if args.results:
        told, mark, _ = args.results.read_text().partition(MARK)
        args.results.write_text(f"{told}{mark}\n{text}\n")


def ask(tool: str, seeds: Iterable[int], folder: Path, **world: bool | float) -> Iterable[dict[str, Any]]:
    """The tool's answer for up to ASKED labelled requests of each seed's bundle, with the truth beside it.

    ``world``: what of each seed's world is another than its scenario says.
    """
    with subprocess.Popen(shlex.split(tool), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        for seed in seeds:
            place = folder / str(seed)
            if not (place / "truth.json").is_file():
                scenario = scenario_of(seed)
                simulate(replace(scenario, world=replace(scenario.world, **world)), place)
            truth = json.loads((place / "truth.json").read_text())
            labels = truth.pop("labels")
            chosen = labels[:: max(1, len(labels) // ASKED)][:ASKED]
            chosen += [{"req_id": r} for r in truth["sampled"]]
            for label in chosen:
                worker.stdin.write(json.dumps({"bundle": str(place / "bundle"), "req_id": label["req_id"]}) + "\n")
                worker.stdin.flush()
                yield {"truth": truth | {"label": label}, "chain": json.loads(worker.stdout.readline()),
                       "guess": longest_kernel(place / "bundle", truth)}  # fmt: skip


def longest_kernel(bundle: Path, truth: dict[str, Any]) -> int | None:
    """The rule of thumb: the rank that spends longest in collectives is guilty."""
    spent: Counter[int] = Counter()
    for line in (bundle / f"{truth['replica']}.jsonl").read_text().splitlines():
        record = json.loads(line)
        if "rank" in record:
            spent[record["rank"]] += record["comm_ms"]
    return spent.most_common(1)[0][0] if spent else None


def judged(answer: dict[str, Any]) -> dict[str, Any]:
    """What of one answer is right."""
    truth, chain = answer["truth"], answer["chain"]
    root = chain.get("root_cause")
    links = [link["kind"] for link in chain.get("links", [])]
    label = truth["label"]
    flip = chain.get("flip")
    kind_right = (root["kind"] if root else None) == truth["root_cause"]
    if root and truth["also"]:  # two faults: either may lead, the other must contribute
        named = {root["kind"], *(c["kind"] for c in chain["contributing"])}
        kind_right = named == {truth["root_cause"], *truth["also"]}
    top = chain["links"][0] if links else None
    if root and truth["also"]:
        rank_right = True  # asked of the kinds above
    elif truth["tp"] == 1:
        rank_right = top is not None and top["rank"] in {0, None}
    else:
        rank_right = top is not None and top["rank"] == truth["rank"]
    verdicts = {truth["verdict"]} if not flip or flip["exact"] else {"partial"}  # partial at best
    blamed = {link["rank"] for link in chain.get("links", []) if link["rank"] is not None} | {truth["rank"]}
    both = sum((Counter(links) & Counter(truth["path"])).values())
    return {
        "kind": kind_right,
        "rank": rank_right if truth["rank"] is not None else None,
        "claimed": (root is not None and not kind_right) or (truth["control"] and blamed > {truth["rank"]}),
        "precision": both / len(links) if links else float(not truth["path"]),
        "recall": both / len(truth["path"]) if truth["path"] else float(not links),
        "flip": None if "step" not in label else flip_right(flip, label),
        "verdict": chain.get("verdict") in verdicts if truth["root_cause"] or "step" not in label else None,
        "path": links == truth["path"],
    }  # fmt: skip


def flip_right(flip: dict[str, Any] | None, label: dict[str, Any]) -> bool:
    """Step and both tokens; of a first difference *seen*: that it does not lie before the true one."""
    if flip is None:
        return False
    if not flip["exact"]:
        return bool(flip["step"] >= label["step"])
    return all(flip[key] == label[key] for key in ("step", "token_id", "reference_token_id"))


def share(values: Iterable[bool | float | None]) -> str:
    """Mean of what is known, and of how many."""
    known = [float(v) for v in values if v is not None]
    return f"{sum(known) / len(known):.3f} ({len(known)})" if known else "– (0)"


def f1(judgements: list[dict[str, Any]]) -> str:
    """Harmonic mean of mean precision and mean recall."""
    if not judgements:
        return "–"
    p = sum(j["precision"] for j in judgements) / len(judgements)
    r = sum(j["recall"] for j in judgements) / len(judgements)
    return f"{2 * p * r / (p + r):.3f}" if p + r else "0.000"


def report(answers: list[dict[str, Any]], seeds: str) -> str:
    """The table of goals, then each scenario, then the calibration."""
    pairs = [(a, judged(a)) for a in answers]
    faults = [(a, j) for a, j in pairs if not a["truth"]["control"]]
    strong = [j for a, j in faults if a["truth"]["intensity"] != "subtle"]
    subtle = [j for a, j in faults if a["truth"]["intensity"] == "subtle"]
    controls = [j for a, j in pairs if a["truth"]["control"]]
    kinds = {a["truth"]["root_cause"] for a, _ in faults}
    guesses = [
        a["guess"] == a["truth"]["rank"] for a, _ in faults if a["truth"]["rank"] is not None and a["truth"]["tp"] > 1
    ]
    chance = [1 / a["truth"]["tp"] for a, _ in faults if a["truth"]["rank"] is not None]
    rows = [
        (
            "root cause AC@1, blatant and medium",
            "0.97",
            share(j["kind"] for j in strong),
            f"chance {1 / max(1, len(kinds)):.2f}",
        ),
        ("root cause AC@1, subtle", "0.85", share(j["kind"] for j in subtle), ""),
        (
            "rank",
            "0.98",
            share(j["rank"] for _, j in faults),
            f"longest collectives {share(guesses)}, chance {share(chance)}",
        ),
        ("path F1", "0.95", f1([j for _, j in faults]), f"the whole path {share(j['path'] for _, j in faults)}"),
        ("flip step and tokens", "1.00", share(j["flip"] for _, j in pairs), ""),
        ("verdict", "", share(j["verdict"] for _, j in pairs), ""),
        (
            "root cause, or another rank, claimed on controls",
            "0 of 60",
            f"{sum(j['claimed'] for j in controls)} of {len(controls)}",
            "",
        ),
        ("false claims elsewhere", "", f"{sum(j['claimed'] for _, j in faults)} of {len(faults)}", ""),
        ("Brier score of the confidence", "0.05", brier(faults), ""),
        (
            "seconds a chain, median",
            "",
            f"{median(a['chain']['seconds'] for a in answers):.2f}" if answers else "–",
            "",
        ),
    ]
    lines = [f"Seeds {seeds}: {len(faults)} labelled requests with a fault to name, {len(controls)} controls.", "",
             "| | goal | reached (of) | beside it |", "|---|---|---|---|"]  # fmt: skip
    lines += [f"| {a} | {b} | {c} | {d} |" for a, b, c, d in rows]
    groups: dict[tuple[str, str], list[tuple[dict[str, Any], dict[str, Any]]]] = defaultdict(list)
    for a, j in pairs:
        groups[a["truth"]["scenario"], a["truth"]["intensity"]].append((a, j))
    lines += [
        "",
        "| scenario | intensity | requests | root cause | rank | path F1 | false claims | said |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (name, intensity), of in sorted(groups.items()):
        said = Counter((a["chain"].get("root_cause") or {}).get("kind", "none") for a, _ in of)
        told = ", ".join(f"{k} {n}" for k, n in said.most_common(3))
        own = [j for _, j in of]
        cells = (name, intensity, str(len(of)), share(j["kind"] for j in own), share(j["rank"] for j in own), f1(own),
                 str(sum(j["claimed"] for j in own)), told)  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *reliability(faults)]
    return "\n".join(lines)


def sure(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[tuple[float, bool]]:
    """Confidence, and whether root cause and path are right, of the chains that have a confidence."""
    return [
        (a["chain"]["confidence"], j["kind"] and j["path"])
        for a, j in pairs
        if a["chain"].get("confidence") is not None
    ]


def brier(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    """Mean squared distance of the confidence from what came true (Brier 1950)."""
    known = sure(pairs)
    return share((p - right) ** 2 for p, right in known)


def reliability(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[str]:
    """Of the chains whose confidence lies in a tenth: how many are right."""
    known = sure(pairs)
    if not known:
        return ["No chain has a confidence."]
    lines = ["| confidence | chains | right |", "|---|---|---|"]
    for low in range(10):
        inside = [right for p, right in known if low <= min(9, int(p * 10)) < low + 1]
        if inside:
            lines.append(
                f"| {low / 10:.1f} to {(low + 1) / 10:.1f} | {len(inside)} | {sum(inside) / len(inside):.2f} |"
            )
    return lines


if __name__ == "__main__":
    main()
