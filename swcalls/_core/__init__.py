"""The rules: verify and decode webhooks, apply events to operations, settle operations, and compute their deadlines.

No asyncio, no aiohttp, no clock, no randomness and no logging in here: time and ids are arguments, and a rule's
decision is a return value. So every rule can be tested without an event loop, with events in any order.

Theory of operation
-------------------
1. An `Operation` is the record of a playback, a recording or a call that was requested and may still get events. It
   is registered (`Registry.expect`) before its command is sent, so a webhook that overtakes the response finds it.
2. The callback URL that goes with the command names the operation's kind and key and carries a MAC over both
   (`CallbackUrls`). So the URL decides which operation a webhook is for, and the payload is only
   cross-checked: bare payloads do not name their operation, and some have no id.
3. A verified payload becomes an `Event` (`decoding`), and the kind's lifecycle table (`lifecycle`) says what the
   event does to the operation: nothing, progress, an answer, the end.
4. An operation settles once: by its callback, by the end of its call (after a grace period), by its deadline, by the
   voice log, or by the closing of the client. From then on the registry does not hold the operation.
5. Events of operations that are not registered yet are kept, within bounds, until the operation is registered.
"""
