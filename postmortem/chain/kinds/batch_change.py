"""The scheduler changed the batch, and with it the shape that tactics are chosen by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.stats.changepoint import change_point
from postmortem.analyses.stats.fisher import fisher_greater
from postmortem.analyses.stats.level import ALPHA
from postmortem.analyses.stats.median_mad import median
from postmortem.analyses.stretches import departure, ramp
from postmortem.base.units import percent
from postmortem.chain.filled import filled
from postmortem.chain.grade import HALF, grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link, Test
from postmortem.chain.other_plan import left_tactic
from postmortem.chain.tests_of import mechanism, order, specificity

if TYPE_CHECKING:
    from postmortem.chain.case import Case


def detect(case: Case, effect: Link | None) -> Outcome:
    """What keeps the batch from the calm tactic's sizes at the flip: a change of it, or requests held back."""
    if effect is None:
        return RuledOut("there is no effect")
    known = case.iterations.filter(pl.col("batch_size").is_not_null() & pl.col("algo_id").is_not_null())
    numbers = known["iteration"].to_list()
    if effect.iteration not in numbers:
        return Unseen("how large the batch was at the flip", "iteration, batch_size and algo_id in s records")
    calm = effect.facts.get("reference_tactic")
    left = left_tactic(case)
    planned = left.filter(pl.col("expected_algo_id") == pl.col("algo_id_reference"))
    if planned.height and planned.height >= HALF * left.height:
        return RuledOut(
            f"of {left.height} steps with another tactic, {planned.height} had the reference's planned for their batch"
        )
    run = _Run(known, calm, numbers.index(effect.iteration))
    if run.left == 0:
        return Unseen(f"the iterations before {numbers[0]}, when the other tactic already ran", "a longer recording")
    if run.sizes[run.left] == run.sizes[run.left - 1]:
        return RuledOut(
            f"the batch stayed at {run.sizes[run.left]} when the tactic changed at iteration {numbers[run.left]}"
        )
    change = _held(run) or _changed(run)
    found = _link(case, effect, run, change)
    while (since := _filled_since(case, found.link)) is not None:
        change = replace(change, stop=numbers.index(since), cuts=(*change.cuts, since))
        found = _link(case, effect, run, change)
    return found


def _filled_since(case: Case, change: Link) -> int | None:
    """The earlier cut that had held back those who filled the batch that was cut; None where there was none such."""
    full = filled(case, change)
    return full.held_since if full is not None and full.carries else None


@dataclass(frozen=True)
class _Run:
    """The iterations, and the run of them in another tactic than the ``calm`` one that holds the one asked about."""

    known: pl.DataFrame
    calm: str | None
    here: int

    @cached_property
    def sizes(self) -> list[int]:
        return self.known["batch_size"].to_list()

    @cached_property
    def tactics(self) -> list[str]:
        return self.known["algo_id"].to_list()

    @cached_property
    def waiting(self) -> list[int]:
        """Requests that waited through the iteration before; none where waits are not recorded."""
        return self.known["waiting"].fill_null(0).to_list()

    @cached_property
    def left(self) -> int:
        """Index of the run's first iteration."""
        return departure(self.tactics, self.here, self.calm)

    def cut_before(self, first: int, stop: int) -> bool:
        """Whether the batch had been larger before than from index ``first`` to ``stop``, while they waited."""
        return max(self.sizes[:first], default=0) > max(self.sizes[first:stop], default=0)

    def posture_at(self, at: int) -> str | None:
        """What isolation became in the iteration at index ``at``; None where it stayed, or is not recorded."""
        modes = self.known["isolation_mode"]
        before, now = (modes[at - 1], modes[at]) if at > 0 else (None, None)
        return None if before is None or before == now else now

    @property
    def takes_turns(self) -> bool:
        """Whether the calm tactic had run for one iteration alone before, between others, for all that is known.

        Where nobody sat it out, a batch near the border went over it by itself.
        """
        alone = self.left > 1 and self.tactics[self.left - 2] not in {None, self.calm}
        return alone and not self.nobody_waited(self.left - 1, self.left - 1)

    def nobody_waited(self, first: int, last: int) -> bool:
        """Whether it is known that no request waited for the iterations from index ``first`` to ``last``.

        Known where waits are recorded, and of all requests of the batch: those whose prompt it computes have no step
        of it, so that all of most other batches will do.
        """
        rows = self.known[first : last + 1]
        steps, batch = rows["requests"], rows["batch_size"]
        whole = (steps == batch).all() or (self._all_recorded and (steps <= batch).all())
        return whole and not rows["waiting"].null_count() and not rows["waiting"].sum()

    @cached_property
    def _all_recorded(self) -> bool:
        full = self.known["requests"] == self.known["batch_size"]
        return 2 * int(full.sum()) > full.len()

    def held_since(self, at: int, below: float = inf) -> int:
        """Index of the first of the iterations up to ``at`` in which requests waited; at + 1 where none did there.

        Only iterations with a batch smaller than ``below`` count. Some in between in which none waited count
        where the batch stayed what it was: the queue ran empty, the limit held.
        """
        start = at + 1
        while start > 0 and self.waiting[start - 1] > 0 and self.sizes[start - 1] < below:
            start -= 1
        gap = start - 1
        while start <= at and gap > 0 and self.waiting[gap] == 0 and self.sizes[gap] == self.sizes[start]:
            gap -= 1
        if 0 <= gap < start - 1 and self.waiting[gap] > 0 and self.sizes[gap] == self.sizes[start]:
            return self.held_since(gap, below)
        return start


@dataclass(frozen=True)
class _Change:
    """``at``: index of its first iteration; ``stop``: index before which its cause lies; sizes before and after.

    ``stays``: how often the calm tactic would have run without it, with the sentence; None: by batches as before.
    ``ebb``: the batch shrank with nobody kept waiting. ``waited``: how many did at most from ``stop`` on.
    ``cuts``: iterations of earlier cuts, the latest first; each held back those that filled the batch until the next.
    """

    at: int
    stop: int
    before: int
    after: int
    says: str
    mechanism: str
    stays: tuple[float, str] | None = None
    ebb: bool = False
    waited: int = 0
    cuts: tuple[int, ...] = ()


def _held(run: _Run) -> _Change | None:
    """Requests waited while the batch ran short of them: with them alone it would have had the calm tactic's size."""
    since = run.held_since(run.here)
    if not run.left < since <= run.here or run.sizes[run.here] > run.sizes[run.left - 1]:
        return None
    numbers, held = run.known["iteration"], run.sizes[since : run.here + 1]
    wanted = [size + waiting for size, waiting in zip(held, run.waiting[since : run.here + 1], strict=True)]
    fewest = min(s for s, t in zip(run.sizes, run.tactics, strict=True) if t == run.calm)
    enough = [size < fewest <= w for size, w in zip(held, wanted, strict=True)]
    if not any(enough):
        return None
    most = max(range(len(wanted)), key=lambda k: (wanted[k], k))
    stays = sum(enough) / len(enough)
    return _Change(
        since, since, wanted[most], held[most],
        f"the scheduler held the batch at {held[most]} from iteration {numbers[since]} on, while up to "
        f"{wanted[most] - held[most]} more waited",
        f"requests waited in every iteration from {numbers[since]} to the flip's",
        (stays, f"{sum(enough)} of {len(enough)} batches would have had the {fewest} that tactic {run.calm} takes"),
        waited=wanted[most] - held[most],
    )  # fmt: skip


def _changed(run: _Run) -> _Change:
    """The change with which the run begins, or a larger one within it."""
    sizes, numbers, left = run.sizes, run.known["iteration"], run.left
    at = ramp(sizes, left)
    drop = sizes[left] < sizes[left - 1]
    if drop and run.waiting[left]:  # what ended before anybody waited made the batch smaller by itself
        at = max(at, min(left, run.held_since(left)))
    before = sizes[at - 1]
    stretch = sizes[at : run.here + 1]
    later = change_point(np.asarray(sizes[left : run.here + 1], np.float64))
    if later is not None and later.p_value <= ALPHA and later.rises is not drop:
        middle = round(median(np.asarray(sizes[left : left + later.index], np.float64)))
        level = round(median(np.asarray(sizes[left + later.index : run.here + 1], np.float64)))
        if abs(level - middle) > abs(middle - before):  # most of the way was gone there
            at = ramp(sizes, left + later.index)
            before, stretch = sizes[at - 1], sizes[at : run.here + 1]
    after = min(stretch) if drop else max(stretch)
    said = f"the scheduler {'cut' if drop else 'raised'} the batch from {before} to {after} at iteration {numbers[at]}"
    ebb = drop and run.nobody_waited(at, at + stretch.index(after))
    if ebb:
        said = f"the batch shrank from {before} to {after} from iteration {numbers[at]} on, with nobody kept waiting"
    stop = at
    if not drop:
        since = run.held_since(at - 1, after)
        if since < at:  # those that had waited came in: what made them wait lies before that
            said += f", when those came in that had waited since {numbers[since]}"
            stop = since
    first = f"iteration {numbers[left]} is the first of the stretch that ran the other tactic"
    return _Change(at, stop, before, after, said, first, None, ebb, max(run.waiting[stop:at], default=0))


def _link(case: Case, effect: Link, run: _Run, change: _Change) -> Found:
    numbers = run.known["iteration"]
    size, tactic = np.asarray(run.sizes), np.asarray(run.tactics)
    moved, switched = size[1:] != size[:-1], tactic[1:] != tactic[:-1]
    a, b = int((moved & switched).sum()), int((moved & ~switched).sum())
    c, d = int((~moved & switched).sum()), int((~moved & ~switched).sum())
    stays, said = change.stays or _as_before(run, change.before)
    tests = (
        order(numbers[change.at], effect.iteration),
        Test(
            "size",
            change.after != change.before,
            f"from {change.before} to {change.after} sequences",
            float(change.after - change.before),
            "sequences",
        ),
        specificity(fisher_greater(a, b, c, d), f"{a} of {a + c} changes of tactic fall on a change of batch"),
        mechanism(True, f"{change.mechanism}; {case.req_id} ran it")
        if effect.iteration in case.steps["iteration"]
        else mechanism(None, f"{change.mechanism}; which iterations computed its prompt is not recorded"),
        Test("counterfactual", stays >= HALF, said, stays, "share"),
    )
    link = Link(
        kind=KIND.name,
        summary=f"{change.says}{_filled_by(change.cuts)}",
        grade=grade(tests),
        replica=case.replica,
        start_ns=run.known["start_ns"][change.at],
        end_ns=run.known["start_ns"][run.here],
        iteration=numbers[change.at],
        value=float(change.after),
        baseline=float(change.before),
        unit="sequences",
        p_value=tests[2].figure,
        tests=tests,
        evidence=(case.evidence("iterations", replica=case.replica),),
        facts={
            "direction": "drop" if change.after < change.before else "rise",
            "before": change.before,
            "after": change.after,
            # what ran before the cause took hold: its shape holds still what iterations are compared by
            "tactic": run.calm if change.stop == change.at == run.left else run.tactics[max(0, change.stop - 1)],
            "stop": numbers[change.stop],
            "changed": numbers[run.left],
            "flipped": numbers[run.here],
            "reached": numbers[change.at + run.sizes[change.at : run.here + 1].index(change.after)],
            "backlog": change.stop < change.at and run.cut_before(change.stop, change.at),
            "waited": change.waited,
            "ebb": change.ebb,
            "posture": run.posture_at(change.stop),
            "turns": change.at == run.left and run.takes_turns,
        },
    )
    return Found(link, stays)


def _filled_by(cuts: tuple[int, ...]) -> str:
    """What had filled the batch that was cut, as part of a sentence; nothing where no earlier cut had to do with it."""
    if not cuts:
        return ""
    so_on = f", and so at {len(cuts) - 1} cuts before, back to {cuts[-1]}" if cuts[1:] else ""
    return f"; it had filled with those held back since the cut at {cuts[0]}{so_on}"


def _as_before(run: _Run, before: int) -> tuple[float, str]:
    """How often a batch of the size before ran the calm tactic: of the nearest sizes, where none had just that."""
    apart = np.abs(np.asarray(run.sizes) - before)
    ran = np.asarray(run.tactics)[apart == apart.min()]
    stays = float((ran == run.calm).mean())
    return stays, f"at batch {before}, {percent(stays)} of {ran.size} iterations ran tactic {run.calm}"


KIND = Kind(
    name="batch_change",
    role="effect",
    says="the scheduler changed the batch: direction drop, rise or membership",
    seen_in=("s records", "NVTX"),
    leads_to=("algo_churn",),
    refuted_by="the batch is the same before and after the tactic changed",
    detect=detect,
)
