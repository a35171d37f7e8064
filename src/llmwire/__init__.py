"""One async client for every language model's wire format."""
