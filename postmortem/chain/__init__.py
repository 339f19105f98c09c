"""The chain: from a flipped token back to what set it off, every link with its rows and its grade."""
