"""HOST: which pictures calibrate, which threshold, and what is proven."""

import edge as _edge  # noqa: F401 - before anything imports ONNX Runtime
