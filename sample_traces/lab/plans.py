"""What a recording says about each request: its plan, its answer, and when each position ran."""

from __future__ import annotations

from dataclasses import dataclass, field

from sample_traces.lab.launch import Recording


@dataclass
class Course:
    """One request's way through one run; lists go by position."""

    index: int
    algos: list[tuple[int, ...]] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    starts_ns: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)  # from here on by step
    seconds: list[int] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    prompt: int = 0  # tokens of the prompt; position prompt - 1 makes step 0


def courses(recording: Recording, prompts: dict[int, int]) -> dict[int, Course]:
    """All requests of a run, by index; ``prompts`` gives each one's count of prompt tokens."""
    found: dict[int, Course] = {}
    for entry in recording.iterations:
        algos = tuple(entry["algos"])
        for index, position, choice in zip(entry["members"], entry["positions"], entry["choices"], strict=True):
            course = found.setdefault(index, Course(index, prompt=prompts[index]))
            if position != len(course.algos):
                raise ValueError(f"request {index}: position {position} follows {len(course.algos)}")
            course.algos.append(algos)
            course.iterations.append(entry["n"])
            course.starts_ns.append(entry["ns"])
            if position >= course.prompt - 1:
                course.tokens.append(choice[0])
                course.seconds.append(choice[1])
                course.margins.append(choice[2])
    return found


def first_difference(a: Course, b: Course) -> int | None:
    """The first step whose token differs, within what both answered."""
    for step, (left, right) in enumerate(zip(a.tokens, b.tokens, strict=False)):
        if left != right:
            return step
    return None
