"""Parts of `vrae.GroupForecaster`: windows of the past, single forecasts, and their combination."""
