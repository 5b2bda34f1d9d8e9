"""Surveys: questions put one after the other where the person is, and what is made of the answers."""
