"""Vendor and broker history into golden bars, with every value explained."""
