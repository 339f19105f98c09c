"""The levels that every test and interval here is held to."""

ALPHA = 0.05  # the customary level: what chance shows in one of twenty is said to be no more than that
CONFIDENCE = 0.95  # of intervals: its complement
DEVIATIONS = 1.96  # of a normal estimate on either side: that interval
