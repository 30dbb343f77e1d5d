"""From responses to verdicts: files of them scored, and servers asked."""
