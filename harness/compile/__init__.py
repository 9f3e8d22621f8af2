"""Compilers turn (plan, target) into a binary; everything compiled lies in a content-addressed store."""
