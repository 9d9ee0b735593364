"""HOST: student.onnx -> quantized -> accepted -> signed bundle."""

import edge as _edge  # noqa: F401 - before anything imports ONNX Runtime
