"""Networks under Dale's law learn several tasks (Song, Yang & Wang 2016)."""
