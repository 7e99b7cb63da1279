"""A project to start from: of sample events, of a file, or of a topic. Nothing else of Headrace uses it."""
