"""The eye: captures, infers, judges, records; answers the line's births with verdicts."""
