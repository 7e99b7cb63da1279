"""How topics are read by more than one of the packages: the newest records, and as one of a group."""
