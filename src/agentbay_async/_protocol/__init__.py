"""The wire protocol of AgentBay, with no policy in it.

``schema`` says what each action sends and answers, ``forms`` and ``codec`` turn values into text
and back, ``envelope`` tells an answer from an error, ``http`` carries bytes. Both the client and
the local service speak through ``schema``, ``forms`` and ``codec``; only the client imports
``http``.
"""
