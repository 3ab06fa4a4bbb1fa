"""Control groups of sessions: limits of a whole session that the kernel enforces.

`cgroup` is the interface and, without a controller, the fallback; `v1` and `v2` implement it.
`detection` finds out where this service may make groups, and `leftovers` removes those of services
that were killed.
"""
