"""Export of fitted models: an ONNX file from raw series to latent vectors."""

from vrae.export.onnx import export_onnx

__all__ = ["export_onnx"]
