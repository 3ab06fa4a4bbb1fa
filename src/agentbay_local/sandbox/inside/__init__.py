"""The agent: the first process of every session, which carries out the requests of the service.

The package is packed, sent into the sandbox and run there by the Python of the machine (3.8 or
newer). So its modules use the standard library only, import each other relatively, and import
nothing from the package around them.

Every session waits for what they import, and has it in memory. So they do without `typing`, `enum`,
`re`, `contextlib` and what imports these, which would triple the time of a start: `json`, `signal`
and `socket` are replaced by the modules in C that these wrap. What is rarely needed is imported
where it is used.

The agent is process 1 of its namespace, because nothing inside can kill or stop that process, and
because the kernel ends the whole namespace with it.
"""
