"""What llmwire costs, beside the least that anyone could do: `python -m bench`."""
