"""The demo: a simulated line with a relay board on a pseudo-terminal and a bundle that ships with the package."""
