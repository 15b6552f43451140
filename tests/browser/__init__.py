"""The HTML report in a real browser, with the network off."""
