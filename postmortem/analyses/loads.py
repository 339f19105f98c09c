"""The measures of load that answers are held against."""

from __future__ import annotations

# More of it is more load, but for free memory.
LOADS = {"concurrency": 1.0, "queue_ms": 1.0, "free_mb": -1.0}
