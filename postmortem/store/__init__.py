"""The store: one DuckDB file a bundle. Tables are the files in tables/, one CREATE TABLE each."""
