"""The domain of the claim engine and its stores; knows neither the front door nor the claim workers."""
