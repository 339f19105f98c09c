"""Frames in, figures out: no files, no plots."""
