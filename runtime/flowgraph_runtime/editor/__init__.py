"""Workflows in an editor: the language server, and the process that looks at one text for it."""
