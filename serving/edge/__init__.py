"""A model and its windows where the events happen: what makes the bundle, and the runner that is copied into it."""
