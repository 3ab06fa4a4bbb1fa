"""The programs that run code inside a session, one for each language.

They are sent into the sandbox and run there: `python_kernel` by the Python that runs the service,
with the service's own IPython, `javascript_kernel.js` by the machine's Node. Neither imports
anything of the package around it.

Both speak the same way. Descriptor 3 is a socket: each frame is four bytes of length, most
significant first, and a JSON object. The service sends ``{code, env}``. The worker sends
``{ready}`` once; then for each piece of code any number of ``{result, main}`` and of
``{error: {name, value, traceback}}``, and last ``{done, failed, interrupted}``. Each result waits
for an empty frame, so that what is printed after it cannot overtake it. What the code prints goes
to the ordinary standard output and error, which only ever carry that.
"""
