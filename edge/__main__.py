"""`python -m edge`: what the services start."""

from edge.entry import edge

edge()
