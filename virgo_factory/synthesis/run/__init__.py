"""Asking the roles of a synthesis and making its files, stage after stage."""
