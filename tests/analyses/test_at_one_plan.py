"""Times at one batch size, in one tactic and at no prompt, by paper and pencil."""

from __future__ import annotations

import numpy as np

from postmortem.analyses.stretch import at_no_prompt, at_one_plan


def test_what_a_prompt_takes_is_taken_off() -> None:
    """10 ms, and 3 for each prompt: one or two were computed often enough to tell; four were not."""
    prompts = np.array([0.0] * 6 + [1.0] * 5 + [2.0] * 5 + [4.0, 0.0, 2.0])
    ms = 10 + 3 * prompts
    ms[-2:] += 5  # these two are late besides
    plan = np.full(19, 24.0), np.ones(19, np.int64)
    assert np.array_equal(at_no_prompt(ms, prompts, *plan), [10.0] * 16 + [np.nan, 15.0, 15.0], equal_nan=True)


def test_prompts_that_hardly_any_iteration_had() -> None:
    """What one takes nothing tells: those iterations are left out."""
    ms, prompts = np.array([10.0] * 6 + [13.0]), np.array([0.0] * 6 + [1.0])
    plan = np.full(7, 24.0), np.ones(7, np.int64)
    assert np.array_equal(at_no_prompt(ms, prompts, *plan), [10.0] * 6 + [np.nan], equal_nan=True)


def test_all_at_once() -> None:
    """2 ms a prompt, 0.5 a sequence, 4 more in the second tactic: all stand at the median of the calm ones."""
    prompts, batch, tactic = (np.tile(np.repeat([0.0, 1.0], n), 40 // (2 * n)) for n in (1, 5, 10))
    ms = 10 + 2 * prompts + 0.5 * batch + 4 * tactic
    plan = batch, tactic.astype(np.int64)
    assert np.ptp(at_one_plan(at_no_prompt(ms, prompts, *plan), *plan, 40)) < 1e-9
