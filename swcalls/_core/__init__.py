"""The rules: is this delivery genuine, what does it mean, which operation does it move, is that over, when is it late.

No asyncio, no aiohttp, no clock, no randomness and no logging in here: time and ids are arguments, and what a rule
decides is a return value. So every rule can be tested without a loop, in any interleaving.

Theory of operation
-------------------
1. An `Operation` is something that was asked for and is not over: a playback, a recording, a call itself. It is
   expected (`Registry.expect`) before its command is sent, so a webhook that overtakes the response finds it.
2. The callback URL that goes with the command names the operation's kind and key and carries a MAC over both
   (`CallbackUrls`). A delivery is therefore believed for what its URL says, and its payload is only cross-checked:
   bare payloads do not say what they are about, and some have no id.
3. A verified payload becomes an `Event` (`decoding`), and the kind's lifecycle table (`lifecycle`) says what the
   event does to the operation: nothing, progress, an answer, the end.
4. An operation settles once: by its callback, by the end of its call (after a grace), by its deadline, by the voice
   log, or by the closing of the client. From then on the registry does not know it.
5. Events that nobody wants yet are kept, within bounds, for an operation that is still to be attached.
"""
