"""Examines a machine and what its stations need of it: each finding with its remedy. No device is opened."""
