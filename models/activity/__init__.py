"""The activity of a network in trials, as labelled arrays, for analyses of one's own."""
