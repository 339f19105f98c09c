"""What the ranks tell each other in the margin of a collective: one step's figures, as numbers."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True)
class StepNotes:
    """One rank's figures of one iteration; times in ms, memory in MiB."""

    gpu_ms: float = 0.0
    comm_ms: float = 0.0
    sync_ms: float = 0.0
    vram_free_mb: float = 0.0
    workspace_free_mb: float = 0.0
    kv_pool_total_mb: float = 0.0
    isr_pinned_mb: float = 0.0
    ckpt_pinned_mb: float = 0.0
    kv_evicted_blocks: float = 0.0
    recompute_tokens: float = 0.0
    dequant_cycles: float = 0.0
    algo_id: float = 0.0
    expected_algo_id: float = 0.0

    def pack(self, now_s: float) -> list[float]:
        """With the time since the start of the run in front."""
        return [now_s, *astuple(self)]

    @staticmethod
    def unpack(numbers: list[float]) -> StepNotes:
        """What ``pack`` packed; padding behind it is ignored."""
        return StepNotes(*numbers[1 : 1 + len(fields(StepNotes))])

    @property
    def regime(self) -> str:
        """paged: blocks were lost or recomputed; pressured: under 10 % of the pool is free; else normal."""
        if self.kv_evicted_blocks or self.recompute_tokens:
            return "paged"
        free = self.vram_free_mb - self.isr_pinned_mb - self.ckpt_pinned_mb
        return "pressured" if free < 0.1 * self.kv_pool_total_mb else "normal"
