"""edge-bench: latency profile of a station or a bundle."""
