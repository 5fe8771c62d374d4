"""What a trained model does on held-out rows: one row per item, and the figures made of them."""
