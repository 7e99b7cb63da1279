"""The page at ``/``: what a service serves, how it does and what is the matter, live; a file of Python and one of JavaScript a panel."""
