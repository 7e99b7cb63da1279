"""Every other use of Feast: the online store's rows."""
