"""The keeper: the background process that holds launches which block until a GPU is had.

Always a process of its own. In a thread a blocked `create` is cancelled when the interpreter exits, and the
SDK then terminates the sandbox; a keeper that has to go while it holds one therefore goes by SIGKILL, which
leaves the sandbox queued, where its tag finds it. All it knows is in the ledger: kill it, and the next one
goes on.
"""
