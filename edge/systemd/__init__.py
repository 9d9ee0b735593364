"""The services of a station: what each process may touch, its units, and how they come onto a machine and off it."""
