"""Recordings of neurons beside networks: read, written, described and compared as networks are."""
