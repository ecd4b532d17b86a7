"""Records that are to be made again. Each set must shrink; none may grow."""

EXPECTED_STALE: set[str] = set()
"""Made with another config of their training or evaluation."""

EXPECTED_DIRTY: set[str] = set()
"""Made, or evaluated, with code that was not committed."""
