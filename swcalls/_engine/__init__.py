"""asyncio around the rules of `_core`: sending commands, receiving webhooks, one timer, and the tasks of a client."""
