"""Every use of Feast but its definitions: the online store's rows, read and written, and their keys."""
