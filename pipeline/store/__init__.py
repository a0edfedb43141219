"""Where arrays and figures lie: settings, mounts, codecs, names, and files being written."""
