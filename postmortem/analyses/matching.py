"""Calls of several ranks that carry no number: which of them are the same collective.

All ranks leave a collective together, so calls belong together whose ends coincide once the clocks
are aligned, whatever part of the head, the middle or the tail each recording lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.changepoint import CLIP
from postmortem.analyses.stats.median_mad import mad, median

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE = 256  # ends of one recording that are held against all of the other's
REACHES_NS = (200_000_000, 4_000_000_000)  # hosts' clocks under NTP lie within 100 ms; else far out, once
BINS_NS = (4_000, 16_000, 64_000, 256_000, 1_024_000)  # from a collective's own jitter up
SURE = 3.0  # standard deviations of the difference of two counts (Poisson: its variance is their sum)
BLOCK, LARGEST_BLOCK = 64, 1024
QUARTZ = 1e-4  # two clocks, each off by up to 50 ppm: what the crystals of computers are specified to


def coincidence(one: NDArray[np.int64], other: NDArray[np.int64]) -> tuple[int, int] | None:
    """The shift that makes most of ``other``'s ends fall on ends of ``one``, ns, and the call of ``one`` around
    which it holds; None where none stands out.

    Both ascending, shape (calls,). Every pair within reach votes for its distance; the shift with most
    votes must beat every other by SURE standard deviations, so that evenly spaced calls, which fit at
    many shifts, are not guessed at.
    """
    # A clock that steps in the middle of one sample fits another.
    for share in (2, 4, 4 / 3):
        first = max(0, min(round(one.size / share) - SAMPLE // 2, one.size - SAMPLE))
        shift = _voted(one[first : first + SAMPLE], other)
        if shift is not None:
            return shift, first + min(SAMPLE, one.size) // 2
    return None


def _on_one_clock(one: NDArray[np.int64], other: NDArray[np.int64]) -> tuple[int, int] | None:
    """No shift, where two recordings on one clock coincide; None where they don't.

    Ends that have nothing to do with each other fall anywhere between two of ``one``: within a quarter of
    the gap from the nearer as often as farther.
    """
    if one.size < 2:
        return None
    near = _closest(one, other)
    gap = np.minimum(*(np.diff(one)[np.clip(near + k, 0, one.size - 2)] for k in (-1, 0)))
    close = int((np.abs(one[near] - other) < gap / 4).sum())
    return (0, one.size // 2) if 2 * close - other.size > SURE * np.sqrt(other.size) else None


def _by_order(one: NDArray[np.int64], other: NDArray[np.int64]) -> tuple[int, int] | None:
    """The shift of calls too few to vote, where both recordings have equally many: their order matches them."""
    if one.size != other.size or one.size > SURE**2:  # n votes against none stand out where n > SURE * sqrt(n)
        return None
    middle = one.size // 2
    return int(one[middle] - other[middle]), middle


def _voted(sampled: NDArray[np.int64], other: NDArray[np.int64]) -> int | None:
    for reach in REACHES_NS:
        low = np.searchsorted(other, sampled - reach)
        high = np.searchsorted(other, sampled + reach)
        counts = high - low
        if not counts.sum():
            continue
        starts = np.repeat(low - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        apart = np.repeat(sampled, counts) - other[np.arange(counts.sum()) + starts]
        for width in BINS_NS:
            # Half-overlapping bins: what lies on an edge of one lies in the middle of the next.
            votes = np.bincount((apart + reach) // (width // 2), minlength=2)
            pairs = votes[:-1] + votes[1:]
            best = int(np.argmax(pairs))
            rest = pairs.copy()
            rest[max(0, best - 2) : best + 3] = 0
            first, second = int(pairs[best]), int(rest.max())
            if first - second > SURE * np.sqrt(first + second):
                at = best * (width // 2) - reach
                near = apart[(apart >= at) & (apart < at + width)]
                return round(float(np.median(near)))
    return None


def paired(
    one: NDArray[np.int64], other: NDArray[np.int64], shift: int, around: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of calls that belong together, each at most once: mutual nearest ends, with a clock that drifts.

    The shift is followed from block to block; where a block stops fitting, the clock may have stepped,
    and the shift is looked for anew.
    """
    ours: list[NDArray[np.int64]] = []
    theirs: list[NDArray[np.int64]] = []
    # From where it was found the shift is followed to the end, then back to the beginning.
    for part in (np.arange(around, one.size), np.arange(around)[::-1]):
        _follow(one, other, part, shift, ours, theirs)
    left, right = np.concatenate(ours), np.concatenate(theirs)
    order = np.argsort(left)
    left, right = left[order], right[order]
    # An end of the other that two blocks both took belongs to neither.
    _, at, times = np.unique(right, return_index=True, return_counts=True)
    single = np.sort(at[times == 1])
    return left[single], right[single]


def _follow(
    one: NDArray[np.int64], other: NDArray[np.int64], part: NDArray[np.int64], shift: int,
    ours: list[NDArray[np.int64]], theirs: list[NDArray[np.int64]],
) -> None:  # fmt: skip
    at, size = 0, BLOCK
    offset, slope, when, spread = float(shift), 0.0, None, None
    while at < part.size:
        block = np.sort(part[at : at + size])
        here = float(one[block].mean())
        guess = offset if when is None else offset + slope * (here - when)
        left, right, off = _nearest(one, other, block, guess)
        if spread is not None and (left.size < block.size / 2 or mad(off) > CLIP * spread):
            anew = coincidence(one[block], other)
            if anew is not None:
                left, right, off = _nearest(one, other, block, float(anew[0]))
                when = None
            else:  # where hardly any has a partner, the nearest may be anybody's
                reach = max(CLIP * spread, 1_000.0) + QUARTZ * abs(here - (here if when is None else when))
                near = np.abs(off - guess) <= reach
                left, right, off = left[near], right[near], off[near]
        if left.size:
            middle, width = median(off), mad(off)
            # One microsecond: what timestamps of two GPUs resolve at best, where all distances are equal.
            keep = np.abs(off - middle) <= max(CLIP * width, 1_000.0)
            ours.append(left[keep])
            theirs.append(right[keep])
            if when is not None and here != when:
                slope = (middle - offset) / (here - when)
                size = min(size * 2, LARGEST_BLOCK)
            else:
                slope = 0.0
            offset, when = middle, here
            spread = max(width, spread or 0.0, 100.0)
        at += block.size


def _nearest(
    one: NDArray[np.int64], other: NDArray[np.int64], block: NDArray[np.int64], shift: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Mutual nearest neighbours at this shift: indices in both, and their distances, ns."""
    ends = one[block] - round(shift)
    near = _closest(other, ends)
    held = _closest(ends, other[near])
    mutual = held == np.arange(block.size)
    left, right = block[mutual], near[mutual]
    return left, right, (one[left] - other[right]).astype(np.float64)


def _closest(values: NDArray[np.int64], to: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the closest of ascending values."""
    right = np.clip(np.searchsorted(values, to), 1, max(1, values.size - 1))
    left = right - 1
    right = np.minimum(right, values.size - 1)
    return np.where(np.abs(values[right] - to) < np.abs(values[left] - to), right, left)


def number_calls(
    tracks: list[NDArray[np.int64]], ranks: list[int], clocks: list[int]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each track (one rank's calls on one stream by one clock, ends ascending): its calls' communicator and number.

    A communicator is a set of tracks of different ranks that coincide; it is numbered by its longest track.
    Calls that coincide with none keep -1 as their number. Raises nothing: what can't be told stays apart.
    """
    order = sorted(range(len(tracks)), key=lambda i: (-tracks[i].size, ranks[i]))
    leaders: list[int] = []
    members: dict[int, list[tuple[int, tuple[int, int]]]] = {}
    for track in order:
        for leader in leaders:
            if ranks[track] in {ranks[leader], *(ranks[m] for m, _ in members[leader])}:
                continue
            one_clock = clocks[leader] == clocks[track]
            look = _on_one_clock if one_clock else coincidence
            shift = look(tracks[leader], tracks[track]) or _by_order(tracks[leader], tracks[track])
            if shift is not None:
                members[leader].append((track, shift))
                break
        else:
            leaders.append(track)
            members[track] = []
    answer = [(np.full(t.size, -1, np.int64), np.full(t.size, -1, np.int64)) for t in tracks]
    for comm, leader in enumerate(leaders):
        for track in (leader, *(m for m, _ in members[leader])):
            answer[track][0][:] = comm
        _number(tracks, leader, members[leader], answer)
    return answer


def _number(
    tracks: list[NDArray[np.int64]], leader: int, members: list[tuple[int, tuple[int, int]]],
    answer: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> None:  # fmt: skip
    """Number the calls of one communicator by time; what the leader lost, others may have among themselves."""
    ends = tracks[leader]
    answer[leader][1][:] = np.arange(ends.size)
    left_track, left_call, left_at = [], [], []
    loosest = 1_000.0  # see _follow
    for track, shift in members:
        ours, theirs = paired(ends, tracks[track], *shift)
        answer[track][1][theirs] = ours
        rest = np.delete(np.arange(tracks[track].size), theirs)
        if not ours.size:
            continue
        off = (ends[ours] - tracks[track][theirs]).astype(np.float64)
        parts = np.array_split(np.arange(ours.size), max(1, ours.size // BLOCK))
        knots = np.array([median(tracks[track][theirs[p]].astype(np.float64)) for p in parts])
        shifts = np.array([median(off[p]) for p in parts])
        loosest = max(loosest, CLIP * max(mad(off[p]) for p in parts))
        left_track.append(np.full(rest.size, track))
        left_call.append(rest)
        left_at.append(tracks[track][rest] + _along(tracks[track][rest].astype(np.float64), knots, shifts))
    if not left_at:
        return
    track_of, call_of, at = np.concatenate(left_track), np.concatenate(left_call), np.concatenate(left_at)
    groups: list[list[int]] = []
    last = -np.inf
    for i in np.argsort(at):
        if at[i] - last > loosest or any(track_of[j] == track_of[i] for j in groups[-1]):
            groups.append([])
        groups[-1].append(int(i))
        last = at[i]
    groups = [g for g in groups if len(g) > 1]
    for extra, group in enumerate(groups):
        for i in group:
            answer[int(track_of[i])][1][call_of[i]] = ends.size + extra
    when = np.concatenate([ends.astype(np.float64), [at[g].mean() for g in groups]])
    place = np.argsort(np.argsort(when, kind="stable"), kind="stable")
    for track in (leader, *(m for m, _ in members)):
        numbers = answer[track][1]
        numbers[numbers >= 0] = place[numbers[numbers >= 0]]


def _along(t: NDArray[np.float64], knots: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values between knots on straight lines, beyond them along the line through all."""
    if knots.size < 2:
        return np.full(t.size, values[0])
    between = np.interp(t, knots, values)
    slope = (values[-1] - values[0]) / (knots[-1] - knots[0])
    before, after = t < knots[0], t > knots[-1]
    between[before] = values[0] + slope * (t[before] - knots[0])
    between[after] = values[-1] + slope * (t[after] - knots[-1])
    return between
