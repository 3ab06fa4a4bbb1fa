"""How a session's processes live: isolated by bubblewrap, or, when asked for, not at all.

`base` holds the interface, `bubblewrap` and `plain` are its two levels, `probe` finds out which one
this machine allows. `inside` runs within the session, `channel` talks to it; `hostfs` reaches the
files of a session that is not running.
"""
