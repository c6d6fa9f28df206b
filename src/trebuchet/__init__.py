"""Trebuchet."""
