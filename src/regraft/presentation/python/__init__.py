"""The public Python API. ``import regraft`` has all of it; nothing here needs to be imported by name."""
