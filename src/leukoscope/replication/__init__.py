"""Replication: arms × replicates become runs, runs become one results table."""
