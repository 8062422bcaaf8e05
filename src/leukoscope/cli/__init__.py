"""The command line: wires the verbs; progress, tables and errors for the eye."""
