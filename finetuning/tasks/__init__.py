"""Tasks that a model plays or scores, item by item."""
