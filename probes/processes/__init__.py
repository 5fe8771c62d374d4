"""Starting a process that trains, and ending it with everything that it started.

Both ways of running a probe use it: the worker that trains a workload, and a user's command.
``launch`` is the parent's side, ``guard`` the small process between the parent and the child.
"""
