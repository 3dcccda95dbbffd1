"""The network and its loss: tensors in, tensors out. Nothing here knows of panels or estimators."""
