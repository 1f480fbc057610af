"""Leaderboards: results as data (YAML, answers), and the tables and pages made from them."""
