"""Logs of other harnesses as folders of an evaluation: joined by row, the gold checked, our verdict beside theirs."""
