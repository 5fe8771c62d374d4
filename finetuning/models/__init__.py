"""Loading a model so that it trains as its settings say: dtype, tokenizer, adapters, few bits."""
