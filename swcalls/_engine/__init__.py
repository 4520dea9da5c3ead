"""asyncio around the rules: commands out, webhooks in, one timer, and the tasks of a client."""
