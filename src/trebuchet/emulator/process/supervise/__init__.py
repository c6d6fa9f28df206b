"""The light side: a fork server and the supervisors it forks, one a sandbox.

Everything here is imported by a process of its own and shared by hundreds of forks, so it imports little: no
typing, dataclasses, pathlib, asyncio or subprocess. Orders arrive as JSON objects; results leave as files.
"""
