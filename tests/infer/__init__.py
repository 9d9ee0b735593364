"""Tests of the inference engines."""
