"""Work over data: the stream job, features over history, batch views, training."""
