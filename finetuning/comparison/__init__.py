"""Paired statistics on the rows of two or more models, and the report about them."""
