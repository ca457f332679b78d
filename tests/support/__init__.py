"""Code that test modules share: scripted servers, running services, and test data."""
