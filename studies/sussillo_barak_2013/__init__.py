"""Sussillo and Barak 2013: fixed points of a three-bit memory."""
