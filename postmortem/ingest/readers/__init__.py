"""One module (or package) a format, each with ``READER``; found by scanning, listed nowhere."""
