"""Tests of edge-bench."""
