"""`top`: all processes on the whole screen, live, with keys that act on them.

`model` decides what a key or a message means and knows no terminal; `picture` draws what it knows
as text; `feeds` reads from the daemon, in threads; `screen` is the terminal.
"""
