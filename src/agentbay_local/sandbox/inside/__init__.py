"""The agent: the first process of every session, which carries out the requests of the service.

The package is packed, sent into the sandbox and run there by the Python of the machine (3.8 or
newer). So its modules use the standard library only, import each other relatively, and import
nothing from the package around them.

The agent is process 1 of its namespace, because nothing inside can kill or stop that process, and
because the kernel ends the whole namespace with it.
"""
