"""ONNX Runtime with every optimisation of the graph switched off, as a runtime of ofa-hw."""
