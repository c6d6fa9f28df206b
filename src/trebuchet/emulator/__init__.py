"""The local engine: Modal's control plane on loopback, for the official SDK to talk to unchanged.

It knows nothing of the rest of Trebuchet. `daemon` starts and finds it, `server` is the daemon's inside,
`rpc` speaks the protocol, `world` holds all state by id on disk, and `process` runs sandboxes.
"""
