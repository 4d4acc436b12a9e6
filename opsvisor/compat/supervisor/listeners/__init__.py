"""Supervisor's event listeners: programs that are told of events and answer each.

`names` and `translate` say what happened in Supervisor's words, `protocol` understands what one
listener answers, `pool` decides who is told what and when: all of them pure. `delivery` does the
reading, the writing and the waiting. This file imports nothing, because configurations are checked
against `names` by programs that deliver nothing.
"""
