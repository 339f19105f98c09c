"""Print the n-th fenced code block of README.md: ``python3 .ci/readme_block.py 1``."""

import re
import sys
from pathlib import Path

text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.S | re.M)
print(blocks[int(sys.argv[1]) - 1], end="")
