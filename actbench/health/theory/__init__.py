"""Predict a network before it is trained; nothing is measured here.

``closed_forms`` holds theorems and constants, ``meanfield`` the maps of wide networks, ``forecast`` applies both to a
run's spec.
"""
