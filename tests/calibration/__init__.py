"""Thresholds, bounds and evidence."""
