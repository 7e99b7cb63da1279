"""The page of `headrace serve`, in a real Chromium."""
