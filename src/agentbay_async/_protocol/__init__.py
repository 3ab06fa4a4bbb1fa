"""The wire protocol of AgentBay, without I/O.

``schema`` declares each action's request and answer. ``forms`` and ``codec`` convert them to text
and back, ``policy`` does so for sync policies, and ``frames`` for the frames of a WebSocket.
``envelope`` reads an answer or raises its error; ``error_codes`` maps codes to errors. The client
and the local service both use this package.
"""
