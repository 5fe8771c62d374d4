"""The steps of ``tonnage check``: read the plan, look at this machine, ask the local store or a
service, measure where that is wanted, and store the answer. The rules of the answer are in
``app.checks``, which the service uses too.
"""
