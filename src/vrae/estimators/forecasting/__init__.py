"""The parts of `vrae.GroupForecaster`: windows, pooled models, classical models and what combines them."""
