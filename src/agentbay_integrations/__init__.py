"""Adapters that give frameworks for agents a session of AgentBay to work in.

There is one module for each framework, such as :mod:`agentbay_integrations.pydantic_ai`, and one
extra of the same name, which installs the framework. Importing this package imports no framework.
"""
