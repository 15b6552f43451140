"""The server-rendered pages. Nothing is served yet: this package holds the layer's place."""
