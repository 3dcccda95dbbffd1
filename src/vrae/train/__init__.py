"""Training: the loop, its callbacks, checkpoints, and inference with a trained network."""
