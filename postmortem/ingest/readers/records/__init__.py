"""x and s records: JSON Lines (plain, gzip, zstd) and Parquet, as ``postmortem.record`` writes them."""

from postmortem.ingest.reader import Reader
from postmortem.ingest.readers.records.read import read
from postmortem.ingest.readers.records.sniff import sniff

__all__ = ["READER"]

READER = Reader(
    name="records",
    says="x and s records: what the model saw, and which plan ran under what pressure",
    sniff=sniff,
    read=read,
    anywhere=True,
)
