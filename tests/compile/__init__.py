"""From student to signed bundle."""
