"""HOST: unlabelled pictures and a few labels -> student.onnx; the only user of torch."""

import edge as _edge  # noqa: F401 - before anything imports ONNX Runtime
