"""HOST: student.onnx -> quantized -> accepted -> signed bundle."""
