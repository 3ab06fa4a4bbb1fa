"""The program that lives in every session as its first process and does what the service asks.

It is packed, sent into the sandbox and run there by whatever Python the machine has (3.8 or newer).
So the modules of this package use the standard library only, import each other relatively, and
import nothing of the package around them.
"""
