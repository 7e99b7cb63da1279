"""The HTTP service: predictions on demand, from batch features and what the request says."""
