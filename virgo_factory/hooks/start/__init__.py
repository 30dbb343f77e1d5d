"""What a run must satisfy before anything is loaded: its keys, its device, what is certain to go wrong."""
