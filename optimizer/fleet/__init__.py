"""Which device class for a training: what it takes on each, what is only a prior, what to choose,
and what to measure next. Pure: plain data in, plain data out.

``amount`` numbers with their interval · ``candidate`` one (class, config, batch) · ``transfer``
what a class that has not run it would take · ``cost`` time, energy and money of the whole training
· ``choose`` the answer · ``settle`` the next probe.
"""
