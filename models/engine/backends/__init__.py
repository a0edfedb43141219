"""The back ends of the engine: one file each, one protocol (`base`), one choice (`registry`)."""
