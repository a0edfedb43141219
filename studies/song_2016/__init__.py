"""Song et al. 2016: networks under Dale's law learn several tasks."""
