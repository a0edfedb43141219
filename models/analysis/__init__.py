"""The analyses of one network, each behind one class."""
