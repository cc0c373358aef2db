"""One module for each feature group, of the group's name: it defines `GROUP`.

A module that is added here needs no entry anywhere else.
"""
