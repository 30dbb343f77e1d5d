"""Disks and processes; nothing here knows the domain."""
