"""The kernels: programs that run code inside a session, one for each language.

They are mounted in the sandbox and run there: `python_kernel` by the Python that runs the service,
with the service's IPython, `javascript_kernel.js` by the machine's Node.js, `r_kernel.R` by its R,
and `java_kernel.java` by its JDK. None imports anything of the package around it.

All speak the same protocol, those of R and Java by way of `relay_kernel`. Descriptor 3 is a socket;
a frame is its length in four bytes, most significant first, and its body. The body of the service
is a JSON object, ``{code, env}``. That of a kernel has a small head, a JSON object after its own
length, and then the parts that the head lists with their sizes. The kernel sends ``{ready}`` once;
then for each execution any number of ``{result: {type: [form, size]}, main}``, where the form is
``text`` or ``json``, and ``{error: [size, size, size]}`` for name, value and traceback, and last
``{done, failed, interrupted}``. After each result the kernel waits for an empty frame, so that text
printed later cannot overtake it. The output of the code goes to standard output and standard error,
which carry nothing else.
"""
