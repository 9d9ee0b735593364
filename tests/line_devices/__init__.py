"""Tests of the line's inputs and outputs against real peers."""
