"""edge-bench: latency profile of a station or a bundle."""

import edge as _edge  # noqa: F401 - before anything imports ONNX Runtime
