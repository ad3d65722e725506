"""The bank's base has tests for difftest, not for pytest."""

collect_ignore = ["base"]
