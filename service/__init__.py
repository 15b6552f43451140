"""Use cases, one per file: the only place where linkage, consent, audit and the ports meet."""
