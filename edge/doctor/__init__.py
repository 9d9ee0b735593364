"""Examines a machine and what its stations need of it, each finding with its remedy; opens no device of theirs."""
