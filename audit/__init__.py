"""What happened: canonical events. A look at a person is written down before anything is shown."""
