"""Series in: the panel, how it is read, scaled and cut into batches."""
