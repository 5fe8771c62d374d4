"""Studies as people and programs ask for them and see them, over HTTP and on the dashboard:
started, cancelled, deleted, watched; how far they are, what they wait for and what they will cost.

Whether a runner or ``tonnage tune`` runs a study makes no difference here.
"""
