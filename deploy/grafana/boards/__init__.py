"""Six dashboards, a module each. ``../generate.py`` writes them as JSON."""
