"""llmwire with servers and clients that others wrote: see README.md."""
