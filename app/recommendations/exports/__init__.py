"""A recommendation as a file for another program. One module per kind of program; ``contract`` says
how to add one.
"""
