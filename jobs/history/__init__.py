"""Features over history: windows, source tables and batch views."""
