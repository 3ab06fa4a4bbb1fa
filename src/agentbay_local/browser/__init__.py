"""The browsers of sessions: Chromium inside the sandbox, driven by the DevTools protocol.

`browsers` is the entry point: it starts a session's browser, restarts one that crashed, and ends it
so that its profile is whole. `chromium` is one running browser, `options` its command line,
`devtools` the conversation with it, `pages` what is done with its pages, and `model` asks the
program of the service for what only a model can tell. All but `browsers` are imported when the
first browser starts.
"""
