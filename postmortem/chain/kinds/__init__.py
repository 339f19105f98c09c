"""One module a node kind, each with ``KIND``; ``leads_to`` in the cause, never ``follows`` in the effect."""
