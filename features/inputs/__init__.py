"""From columns to a model's input, and from its outputs to the score: what history, training, batch scoring and the scorer call.

A column is a sequence of Python's numbers, None for null, or (`features.inputs.arrow`) one of Arrow's. The same values give the
same bits, whoever calls.
"""
