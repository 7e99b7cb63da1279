"""What a model loses as its data age, and what fresher ones cost."""
