"""The end-to-end run, its watch and its report."""
