"""Read series into panels, scale them and group them into batches."""
