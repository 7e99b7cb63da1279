"""The page at ``/``: what a service serves, how it does, and what is the matter; a file of Python and of JavaScript a panel."""
