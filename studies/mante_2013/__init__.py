"""Line attractors and selection vectors of context-dependent decisions (Mante et al. 2013)."""
