"""HOST: unlabelled pictures and a few labels -> student.onnx; the only user of torch."""
