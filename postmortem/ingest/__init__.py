"""Ingest: recognise each file of a bundle by what it holds, read it, load it into the store."""
