"""Finds the training steps in a program's output without being told what they look like.

``text`` turns bytes into lines, ``shape`` turns a line into numbers with their surroundings,
``vocabulary`` says what the words beside a number mean, ``counter`` follows how one number grows
from line to line, and ``finder`` chooses the counter that counts optimizer steps. Pure; standard
library only.
"""
