"""The version, where a short command finds it faster than in the package's metadata."""

__version__ = "0.1.0"
