"""The newest window values of each key into Feast's online store, from the topic of feature vectors."""
