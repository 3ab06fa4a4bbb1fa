"""The wire protocol of AgentBay, with no policy in it.

``schema`` says what each action sends and answers, ``codec`` turns values into bytes and back,
``envelope`` tells an answer from an error, ``http`` carries bytes. Both the client and the local
service speak through ``schema`` and ``codec``; only the client imports ``http``.
"""
