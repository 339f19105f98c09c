"""Robust statistics on numpy arrays. scipy.stats is not imported: it costs ten chains (0.65 s)."""
